// What a page does better with a script. Everything here also works without one, through plain forms and links.

document.documentElement.dataset.script = "on";

// What a script says comes with the page, in its language.
const region = document.getElementById("announcer"), said = region?.dataset ?? {};
const announce = (text) => { if (region) region.textContent = text; };

// Copy buttons: <button data-copy="text"> or <button data-copy-from="#id">. They appear only where they can work.
const copy = async (button) => {
  const source = button.dataset.copyFrom && document.querySelector(button.dataset.copyFrom);
  const text = source ? source.value ?? source.textContent : button.dataset.copy;
  await navigator.clipboard.writeText(text === "location" ? location.href : text);
  const label = button.querySelector("[data-label]");
  if (label) {
    const before = label.textContent;
    label.textContent = said.copied;
    setTimeout(() => { label.textContent = before; }, 1500);
  }
  announce(said.copied);
};

const showCopyButtons = (root) => {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy],[data-copy-from]")) button.hidden = false;
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy],[data-copy-from]");
  if (button) copy(button);
  const opens = event.target.closest("[data-layer]");
  if (opens && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    htmx.ajax("GET", opens.href, opens.dataset.layer);
  }
  // A menu closes when something outside it is pressed.
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Selects that only filter a list send their form at once; the button beside them serves pages without a script.
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-autosubmit]");
  if (form) form.requestSubmit();
});

// "Are you sure" for what cannot be undone.
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// Whoever signs out leaves nothing behind of what could not be saved.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-leaves]")) return;
  for (const name of Object.keys(localStorage)) if (name.startsWith("draft ")) localStorage.removeItem(name);
});

// A request of htmx that failed leaves the page as it is and says so beside what was pressed.
document.addEventListener("htmx:responseError", (event) => {
  const { xhr, elt } = event.detail;
  const text = xhr.getResponseHeader("X-Error") ?? "";
  let message;
  try { message = decodeURIComponent(text); } catch { message = text; }
  showError(elt, message || said.answered.replace("%", xhr.status));
});
document.addEventListener("htmx:sendError", (event) => {
  showError(event.detail.elt, said.away);
});

const showError = (element, message) => {
  if (element.closest("[data-quiet]")) return;
  const notice = document.createElement("p");
  notice.className = "er";
  notice.setAttribute("role", "alert");
  notice.textContent = message;
  element.parentElement.querySelector(":scope > p.er[role=alert]")?.remove();
  element.insertAdjacentElement("afterend", notice);
};

document.addEventListener("htmx:load", (event) => showCopyButtons(event.target));
showCopyButtons(document);

// Times that go on while a run does: <span data-since="ISO time">.
const words = (ms) => {
  if (ms < 10000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 60000) return `${Math.round(ms / 1000)} s`;
  const minutes = Math.floor(ms / 60000);
  return minutes < 60 ? `${minutes} min ${Math.round((ms % 60000) / 1000)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};
const tick = () => {
  for (const span of document.querySelectorAll("[data-since]")) {
    span.textContent = words(Math.max(0, Date.now() - Date.parse(span.dataset.since)));
  }
};
setInterval(tick, 500);
tick();
document.addEventListener("htmx:afterSettle", tick);

// Keys: what one key presses says so itself, like data-key="g h" or "Mod+Enter" (Mod is Control, or Command). `?` lists
// what works on the page. In a field only what has data-key-in-field works; keys without Mod or Alt can be turned off.

const dialog = document.getElementById("keys");
const FIELD = "input:not(tr.go input),select,textarea,[contenteditable]";
const GAP = 1200;
let first = "", at = 0;

// Search, whose script comes with the first one.
document.addEventListener("htmx:load", ({ target }) => {
  const layer = target.closest?.("dialog[data-script]:not([open])");
  if (!layer) return;
  layer.showModal();
  import(layer.dataset.script);
});

const isOff = () => localStorage.getItem("single-keys") === "off";
const isSingle = (key) => !/Mod|Alt/.test(key);

const keyOf = (event) => {
  const name = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const isNamed = name.length > 1 || /[a-z]/.test(name);
  return `${event.ctrlKey || event.metaKey ? "Mod+" : ""}${event.altKey ? "Alt+" : ""}${event.shiftKey && isNamed ? "Shift+" : ""}${name}`;
};

const found = (key, inField) => [...document.querySelectorAll("[data-key]")].find((element) =>
  element.dataset.key === key && !element.disabled && !element.closest("[hidden]") && (!inField || "keyInField" in element.dataset));

const press = (element) => {
  if (element.matches(`${FIELD},summary`)) element.focus();
  if (!element.matches(FIELD)) element.click();
};

const shown = (key) => key.split(" ").flatMap((part) => part.split("+")).map((part) => {
  const made = document.createElement("kbd");
  made.textContent = { Mod: /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl", ArrowUp: "↑", ArrowDown: "↓", Enter: "↵", Backspace: "⌫", Alt: "Alt", Shift: "⇧" }[part] ?? (part.length > 1 ? part : part.toUpperCase());
  return made;
});

// What an element says, without what is hidden in it; it may stand in a menu that is closed, and has no innerText then.
const textOf = (element) => [...element?.childNodes ?? []].filter((node) => !node.hidden && !node.dataset?.shows)
  .map((node) => node.textContent.trim()).filter(Boolean).join(" ");

for (const element of document.querySelectorAll("[data-shows]")) element.replaceChildren(...shown(element.dataset.shows));

const help = () => {
  const seen = new Set();
  const rows = [...document.querySelectorAll("[data-key]")].filter(({ dataset }) => !seen.has(dataset.key) && seen.add(dataset.key));
  dialog.querySelector("dl").replaceChildren(...rows.map((element) => {
    const row = document.createElement("div"), term = document.createElement("dt"), words = document.createElement("dd");
    term.append(...shown(element.dataset.key));
    words.textContent = element.dataset.keyWords ?? element.getAttribute("aria-label") ?? (textOf(element) || textOf(element.labels?.[0]));
    row.append(term, words);
    return row;
  }));
  dialog.querySelector("[data-turn]").textContent = isOff() ? dialog.dataset.turnOn : dialog.dataset.turnOff;
  dialog.showModal();
};

dialog?.querySelector("[data-turn]").addEventListener("click", () => {
  localStorage.setItem("single-keys", isOff() ? "on" : "off");
  dialog.close();
});

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing) return;
  const key = keyOf(event), inField = event.target.matches(FIELD), layer = document.querySelector("dialog[open]");
  // What lies under an open layer hears no key.
  if (layer) return key === "Mod+k" && layer.id === "search" ? (event.preventDefault(), layer.close()) : undefined;
  if (isSingle(key) && (inField || (isOff() && key !== "?"))) return;
  const box = event.target.matches("tr.go a") && event.target.closest("tr").querySelector("input");
  if (box && (key === "Space" || (key === "r" && !document.querySelector("tr.go :checked")))) box.click();
  if (box && key === "Space") return event.preventDefault();
  if (key === "?" && dialog) { event.preventDefault(); return help(); }
  const pair = first && Date.now() - at < GAP ? found(`${first} ${key}`, inField) : null;
  const element = pair ?? found(key, inField) ?? (key === "/" ? found("Mod+k") : undefined);
  [first, at] = [pair ? "" : key, Date.now()];
  if (!element) return;
  event.preventDefault();
  press(element);
});

// A list is walked from row to row: data-row says how far.
document.addEventListener("click", ({ target }) => {
  const by = Number(target.closest("[data-row]")?.dataset.row);
  if (!by) return;
  const rows = [...document.querySelectorAll("tr.go")], at = rows.findIndex((row) => row.contains(document.activeElement));
  rows[at < 0 ? 0 : at + by]?.querySelector("a").focus();
});

// The list of runs: what somebody has gone down to stays where it is; the mark above it says when it cannot be asked for.
let was;
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.elt.id === "runs" && scrollY > 99) detail.parameters.held = 1;
});
document.addEventListener("htmx:afterRequest", ({ detail: { elt, xhr } }) => {
  const live = elt.id === "runs" && document.getElementById("live"), lost = !/^2/.test(xhr.status);
  if (!live || lost === live.classList.contains("warn")) return;
  if (lost) was = live.innerText;
  live.textContent = lost ? `${live.dataset.lost} ${new Date().toLocaleTimeString()}` : was;
  live.classList.toggle("warn");
});

// A run's page says what it shows with whatever it asks for: the answer is what differs from that.
document.addEventListener("htmx:configRequest", ({ detail }) => {
  const poll = document.getElementById("poll");
  if (poll) detail.headers["X-Seen"] = poll.dataset.seen;
});

// Follow keeps the step that runs in view, at once and without a motion, until somebody moves the page themselves.
let kept;
const follow = () => document.getElementById("follow") ?? {};
document.addEventListener("htmx:afterRequest", () => {
  if (!follow().checked) return;
  [...document.querySelectorAll("#timeline [data-since]")].pop()?.scrollIntoView({ block: "nearest" });
  kept = scrollY;
});
addEventListener("scroll", () => { if (scrollY !== kept) follow().checked = false; });

// A sign-in at a provider has a window of its own, where there can be one; what comes of it is shown in this one.
const windows = new BroadcastChannel("windows"), done = document.querySelector("[data-done]");
document.addEventListener("submit", ({ target }) => {
  // Of its own name: what comes of another page's sign-in must not lead this one away.
  const own = `sign-in-${Date.now()}`;
  if (!target.matches("[data-window]") || !open("", own, "popup,width=560,height=760")) return;
  target.target = own;
  windows.onmessage = ({ data: [of, to] }) => {
    if (of !== own) return;
    const before = location.pathname + location.search, [page, place] = to.split("#");
    location.assign(to);
    // Another place on the page that is shown already loads nothing.
    if (place && page === before) location.reload();
  };
});
// The name is lost on the way through the provider.
if (name.startsWith("sign-in-")) sessionStorage.window = name;
if (done && sessionStorage.window) {
  windows.postMessage([sessionStorage.window, done.dataset.done]);
  close();
} else if (done) location.replace(done.dataset.done);
