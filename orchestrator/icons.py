"""The product's own drawings: 16 px, stroke 1.6, drawn with the colour of the text around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Inner markup of an SVG with viewBox 0 0 16 16.
ICONS: Final[Mapping[str, str]] = {
    "flow": (
        '<circle cx="5" cy="4" r="2"/><circle cx="5" cy="12" r="2"/><path d="M7 4h3a2 2 0 0 1 2 2v1a2 2 0 0 1-2 2H7"/>'
    ),
    "home": '<path d="M2.5 7.5 8 3l5.5 4.5V13h-4v-3.5h-3V13h-4z"/>',
    "runs": '<path d="M2.5 4h7M5 8h8M3.5 12h5"/>',
    "key": '<circle cx="5.5" cy="10.5" r="3"/><path d="m7.7 8.3 5.3-5.3M10.5 5.5l2 2"/>',
    "grid": (
        '<rect x="2.5" y="2.5" width="4.5" height="4.5" rx="1"/>'
        '<rect x="9" y="2.5" width="4.5" height="4.5" rx="1"/>'
        '<rect x="2.5" y="9" width="4.5" height="4.5" rx="1"/><path d="M11.25 9v4.5M9 11.25h4.5"/>'
    ),
    "code": '<path d="m5.5 4.5-3.5 3.5 3.5 3.5M10.5 4.5 14 8l-3.5 3.5"/>',
    "gear": (
        '<circle cx="8" cy="8" r="2"/>'
        '<path d="M8 2v2M8 12v2M2 8h2M12 8h2M3.8 3.8l1.4 1.4M10.8 10.8l1.4 1.4M3.8 12.2l1.4-1.4M10.8 5.2l1.4-1.4"/>'
    ),
    "plus": '<path d="M8 3.5v9M3.5 8h9"/>',
    "check": '<path d="m3.5 8.5 3 3 6-7"/>',
    "x": '<path d="m4.5 4.5 7 7M11.5 4.5l-7 7"/>',
    "play": '<path d="M5 3.5v9l7-4.5z"/>',
    "dots": '<path d="M3.5 8h.01M8 8h.01M12.5 8h.01" stroke-width="2.4"/>',
    "search": '<circle cx="7" cy="7" r="4"/><path d="m10 10 3.5 3.5"/>',
    "chev": '<path d="m6 4 4 4-4 4"/>',
    "down": '<path d="m4 6 4 4 4-4"/>',
    "hook": '<path d="M8 2.5v5M8 7.5a3 3 0 1 0 3 3"/><circle cx="8" cy="2.8" r=".6"/>',
    "globe": '<circle cx="8" cy="8" r="5.5"/><path d="M2.5 8h11M8 2.5c2 2 2 9 0 11M8 2.5c-2 2-2 9 0 11"/>',
    "branch": '<path d="M4 2.5v11M4 8.5h4a3 3 0 0 0 3-3v-2M9 5l2-2 2 2"/>',
    "chat": '<path d="M2.5 4.5a2 2 0 0 1 2-2h7a2 2 0 0 1 2 2v4a2 2 0 0 1-2 2H7l-3 3v-3a2 2 0 0 1-1.5-2z"/>',
    "mail": '<rect x="2.5" y="3.5" width="11" height="9" rx="1.5"/><path d="m3 5 5 4 5-4"/>',
    "db": (
        '<ellipse cx="8" cy="4" rx="5" ry="1.8"/>'
        '<path d="M3 4v8c0 1 2.2 1.8 5 1.8s5-.8 5-1.8V4M3 8c0 1 2.2 1.8 5 1.8S13 9 13 8"/>'
    ),
    "clock": '<circle cx="8" cy="8" r="5.5"/><path d="M8 5v3l2 1.5"/>',
    "loop": '<path d="M3 7a5 5 0 0 1 9-2l1 1M13 9a5 5 0 0 1-9 2l-1-1M13 3v3h-3M3 13v-3h3"/>',
    "spark": '<path d="M8 2.5 9.4 6.6 13.5 8 9.4 9.4 8 13.5 6.6 9.4 2.5 8l4.1-1.4z"/>',
    "alert": '<path d="M8 2.5 14 13H2zM8 6.5v3M8 11.3h.01"/>',
    "minus": '<path d="M4 8h8"/>',
    "pause": '<path d="M6 4v8M10 4v8"/>',
    "link": (
        '<path d="M7 9a2.5 2.5 0 0 0 3.6 0l2-2A2.5 2.5 0 0 0 9 3.5l-.8.8"/>'
        '<path d="M9 7a2.5 2.5 0 0 0-3.6 0l-2 2A2.5 2.5 0 0 0 7 12.5l.8-.8"/>'
    ),
    "copy": (
        '<rect x="5.5" y="5.5" width="8" height="8" rx="1.5"/>'
        '<path d="M10.5 3.5v-.2a.8.8 0 0 0-.8-.8H3.3a.8.8 0 0 0-.8.8v6.4c0 .4.4.8.8.8h.2"/>'
    ),
    "diff": '<path d="M5 2.5v11M11 2.5v11M3 5h4M9 11h4"/>',
    "form": '<rect x="3" y="2.5" width="10" height="11" rx="1.5"/><path d="M5.5 6h5M5.5 9h5"/>',
    "filter": '<path d="M2.5 4h11M4.5 8h7M6.5 12h3"/>',
    "drag": '<path d="M6 4h.01M10 4h.01M6 8h.01M10 8h.01M6 12h.01M10 12h.01" stroke-width="2"/>',
    "user": '<circle cx="8" cy="5.5" r="2.5"/><path d="M3 13.5c.6-2.6 2.6-4 5-4s4.4 1.4 5 4"/>',
    "shield": '<path d="M8 2.5 13 4v4c0 3-2 4.8-5 5.8C5 12.8 3 11 3 8V4z"/>',
    "moon": '<path d="M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5z"/>',
    "up": '<path d="m4 10 4-4 4 4"/>',
    "undo": '<path d="M6 3 3 6l3 3M3 6h6a4 4 0 0 1 0 8H6"/>',
    "redo": '<path d="m10 3 3 3-3 3M13 6H7a4 4 0 0 0 0 8h3"/>',
    "back": '<path d="M13 8H3M7 4 3 8l4 4"/>',
    "eye": ('<path d="M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8z"/><circle cx="8" cy="8" r="1.8"/>'),
    "pay": '<rect x="2" y="4" width="12" height="8.5" rx="1.5"/><path d="M2 7h12M4.5 10h2"/>',
    "file": '<path d="M4 2.5h5l3 3v8H4zM9 2.5v3h3"/>',
    "bolt": '<path d="M8.5 2 3.5 9H8l-.5 5 5-7H8z"/>',
    "sun": (
        '<circle cx="8" cy="8" r="2.6"/>'
        '<path d="M8 1.8v1.4M8 12.8v1.4M1.8 8h1.4M12.8 8h1.4M3.6 3.6l1 1M11.4 11.4l1 1M3.6 12.4l1-1M11.4 4.6l1-1"/>'
    ),
    "out": '<path d="M6.5 2.5h-3v11h3M6.5 8H14M11 5l3 3-3 3"/>',
    "edit": '<path d="m3 10.5 7.5-7.5 2.5 2.5L5.5 13H3zM9 4.5 11.5 7"/>',
    "trash": '<path d="M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9M6.8 7v4M9.2 7v4"/>',
    "stop": '<rect x="4" y="4" width="8" height="8" rx="1.5"/>',
    "info": '<circle cx="8" cy="8" r="5.5"/><path d="M8 7.5v3.2M8 5.2h.01"/>',
    "list": '<path d="M5.5 4.5h8M5.5 8h8M5.5 11.5h8M2.5 4.5h.01M2.5 8h.01M2.5 11.5h.01"/>',
    "swap": '<path d="M5 3 2.5 5.5 5 8M2.5 5.5h9M11 8l2.5 2.5L11 13M13.5 10.5h-9"/>',
    "wave": '<path d="M2.5 8h2l2-4.5 3 9 2-4.5h2"/>',
}
