// What a page does better with a script. Everything here also works without one, through plain forms and links.

document.documentElement.dataset.script = "on";

const announce = (text) => {
  const region = document.getElementById("announcer");
  if (region) region.textContent = text;
};

// Copy buttons: <button data-copy="text"> or <button data-copy-from="#id">. They appear only where they can work.
const copy = async (button) => {
  const source = button.dataset.copyFrom && document.querySelector(button.dataset.copyFrom);
  const text = source ? source.value ?? source.textContent : button.dataset.copy;
  await navigator.clipboard.writeText(text === "location" ? location.href : text);
  const label = button.querySelector("[data-label]");
  if (label) {
    const before = label.textContent;
    label.textContent = "Copied";
    setTimeout(() => { label.textContent = before; }, 1500);
  }
  announce("Copied");
};

const showCopyButtons = (root) => {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy],[data-copy-from]")) button.hidden = false;
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy],[data-copy-from]");
  if (button) copy(button);
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

// A request of htmx that failed leaves the page as it is and says so beside what was pressed.
document.addEventListener("htmx:responseError", (event) => {
  const { xhr, elt } = event.detail;
  const text = xhr.getResponseHeader("X-Error") ?? "";
  let message;
  try { message = decodeURIComponent(text); } catch { message = text; }
  showError(elt, message || `The server answered ${xhr.status}. Nothing was lost; try again.`);
});
document.addEventListener("htmx:sendError", (event) => {
  showError(event.detail.elt, "The server cannot be reached. Nothing was lost; trying again helps once it is back.");
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
const FIELD = "input,select,textarea,[contenteditable]";
const GAP = 1200;
let first = "", at = 0;

const isOff = () => localStorage.getItem("single-keys") === "off";
const isSingle = (key) => !/Mod|Alt/.test(key);

const keyOf = (event) => {
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const isNamed = name.length > 1 || /[a-z]/.test(name);
  return `${event.ctrlKey || event.metaKey ? "Mod+" : ""}${event.altKey ? "Alt+" : ""}${event.shiftKey && isNamed ? "Shift+" : ""}${name}`;
};

const found = (key, inField) => [...document.querySelectorAll("[data-key]")].find((element) =>
  element.dataset.key === key && !element.disabled && !element.closest("[hidden]") && (!inField || "keyInField" in element.dataset));

const press = (element) => (element.matches(FIELD) ? element.focus() : element.click());

const shown = (key) => key.split(" ").flatMap((part) => part.split("+")).map((part) => {
  const made = document.createElement("kbd");
  made.textContent = { Mod: /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl", ArrowUp: "↑", ArrowDown: "↓", Enter: "↵", Backspace: "⌫", Alt: "Alt", Shift: "⇧" }[part] ?? part;
  return made;
});

// What an element says, without what is hidden in it; it may stand in a menu that is closed, and has no innerText then.
const textOf = (element) => [...element?.childNodes ?? []].filter((node) => !node.hidden)
  .map((node) => node.textContent.trim()).filter(Boolean).join(" ");

const help = () => {
  const seen = new Set();
  const rows = [...document.querySelectorAll("[data-key]")].filter(({ dataset }) => !seen.has(dataset.key) && seen.add(dataset.key));
  dialog.querySelector("dl").replaceChildren(...rows.map((element) => {
    const row = document.createElement("div"), term = document.createElement("dt"), words = document.createElement("dd");
    term.append(...shown(element.dataset.key));
    words.textContent = element.getAttribute("aria-label") ?? (textOf(element) || textOf(element.labels?.[0]));
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
  if (event.defaultPrevented || event.isComposing || dialog?.open) return;
  const key = keyOf(event), inField = event.target.matches(FIELD);
  if (isSingle(key) && (inField || (isOff() && key !== "?"))) return;
  if (key === "?" && dialog) { event.preventDefault(); return help(); }
  const pair = first && Date.now() - at < GAP ? found(`${first} ${key}`, inField) : null;
  const element = pair ?? found(key, inField);
  [first, at] = [pair ? "" : key, Date.now()];
  if (!element) return;
  event.preventDefault();
  press(element);
});
