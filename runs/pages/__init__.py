"""What the pages of runs show, as frozen dataclasses: templates draw them and decide nothing."""
