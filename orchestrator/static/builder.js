// What the builder does better with a script: saves by itself, inserts data where the caret is, searches the data, shows
// references as chips.
// Everything also works through the plain form.

const form = document.getElementById("step-form");
const saved = document.getElementById("saved");
let last = null;

const say = (text) => { if (saved) saved.textContent = text; };
const nameOf = (control) => {
  const field = control.closest(".f");
  return field?.querySelector("label,.lb")?.firstChild?.textContent.trim() ?? "";
};

// Data: the field that had the focus last takes what is pressed in the data column.
document.addEventListener("focusin", (event) => {
  if (!event.target.matches("[data-takes]")) return;
  last = event.target;
  const into = document.querySelector("[data-into]");
  if (into) { into.hidden = false; into.querySelector("[data-into-name]").textContent = nameOf(last); }
});

const insert = (text) => {
  const target = last?.isConnected && last.matches("[data-takes]") ? last : form?.querySelector("[data-takes]");
  if (!target) return;
  if (target.isContentEditable) return target.dispatchEvent(new CustomEvent("data:insert", { bubbles: true, detail: text }));
  const start = target.selectionStart ?? target.value.length;
  target.setRangeText(text, start, target.selectionEnd ?? start, "end");
  target.focus();
  target.dispatchEvent(new Event("input", { bubbles: true }));
};

document.addEventListener("click", (event) => {
  const leaf = event.target.closest("[data-insert]");
  if (leaf) insert(leaf.dataset.insert);
});

const find = document.querySelector("[data-find-in]");
if (find) {
  find.closest("[data-search]").hidden = false;
  find.addEventListener("input", () => {
    const wanted = find.value.trim().toLowerCase();
    for (const leaf of document.querySelectorAll("[data-picker] [data-find]")) {
      leaf.hidden = wanted !== "" && !leaf.dataset.find.includes(wanted);
      if (wanted && !leaf.hidden) for (let up = leaf.parentElement; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
    }
  });
}

// Names and values: a row more as soon as the last one is used.
document.addEventListener("input", (event) => {
  const group = event.target.closest("[data-pairs]");
  const row = event.target.closest(".kvr");
  if (!group || row !== group.lastElementChild) return;
  const index = group.children.length;
  const copy = row.cloneNode(true);
  const names = [...row.querySelectorAll("[aria-label]")].map((control) => control.getAttribute("aria-label"));
  for (const box of copy.querySelectorAll("[contenteditable]")) box.remove();
  copy.querySelectorAll("input").forEach((input, place) => {
    input.value = "";
    input.name = `${group.dataset.pairs}.${"kv"[place]}${index}`;
    input.setAttribute("aria-label", names[place].replace(/\d+$/, index + 1));
    input.toggleAttribute("data-takes", place === 1);
    input.hidden = false;
  });
  group.append(copy);
  copy.dispatchEvent(new CustomEvent("fields:new", { bubbles: true }));
});

// Saving: on leaving a field, or 600 ms after the last key.
let timer = 0, dirty = false, busy = false;
// What the server refused is only on this page: leaving it asks first. `asks`: a save waits for the person's word.
let refused = Boolean(form?.querySelector("[role=alert]")), asks = refused;

const showProblems = (problems) => {
  for (const line of form.querySelectorAll("[data-error]")) {
    const text = problems[line.dataset.error] ?? "";
    line.hidden = !text;
    line.querySelector("span").textContent = text;
    const control = document.getElementById(`field-${line.dataset.error}`);
    if (control?.matches("input,select,textarea,[role=textbox]")) text ? control.setAttribute("aria-invalid", "true") : control.removeAttribute("aria-invalid");
  }
};

const showSaved = (answer) => {
  form.elements.revision.value = answer.revision;
  form.elements.seen.value = answer.seen;
  showProblems(answer.problems);
  document.getElementById("problems").innerHTML = answer.summary;
  for (const title of document.querySelectorAll(`[data-title="${form.dataset.step}"],[data-panel-title]`)) title.textContent = answer.title;
  form.querySelector("[data-rule]").textContent = answer.rule;
  document.dispatchEvent(new CustomEvent("step:saved", { detail: answer }));
  const changes = document.getElementById("changes");
  if (changes) { changes.hidden = !answer.changes; changes.textContent = answer.changes === 1 ? "1 change" : `${answer.changes} changes`; }
};

// Not saved: a conflict waits for the person's word, everything else for the next change.
const refuse = (status, answer) => {
  refused = true;
  say("Not saved");
  note(answer.message ?? "It was not saved.");
  if (status !== 409) return showProblems(answer.problems ?? {});
  asks = true;
  form.elements.revision.value = answer.revision;
  form.elements.seen.value = "";
  form.querySelector("[data-save]").hidden = false;
};

const note = (text) => {
  const line = document.getElementById("refused");
  line.hidden = !text;
  line.querySelector("p").textContent = text;
};

const send = async () => {
  dirty = false;
  busy = true;
  say("Saving…");
  try {
    const response = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } });
    const answer = await response.json();
    if (response.ok) { refused = false; note(""); showSaved(answer); say(dirty ? "Editing…" : "Saved"); }
    else refuse(response.status, answer);
    return response.ok;
  } catch {
    dirty = true;
    say("Not saved, trying again");
    timer = setTimeout(save, 3000);
    return false;
  } finally {
    busy = false;
  }
};

// One save at a time; whoever waits for it gets all that was typed until now.
let running = Promise.resolve(true);
const save = () => {
  clearTimeout(timer);
  running = running.then((before) => (dirty && !asks ? send() : before));
  return running;
};

const changed = () => {
  dirty = true;
  say("Editing…");
  clearTimeout(timer);
  timer = setTimeout(save, 600);
};

if (form && !form.querySelector("fieldset").disabled) {
  form.addEventListener("input", changed);
  form.addEventListener("change", () => { changed(); save(); });
  form.addEventListener("submit", (event) => {
    clearTimeout(timer);
    // A save under way changes what the form knows of the step: sent beside it, the form would conflict with itself.
    if (busy) {
      event.preventDefault();
      running.then(() => { if (!asks) form.requestSubmit(event.submitter); });
    } else dirty = refused = false;
  });
  addEventListener("beforeunload", (event) => { if (dirty || refused) { save(); event.preventDefault(); } });
  form.querySelector("[data-save]").hidden = !asks;
  // Whatever leads on waits for what was typed: publish must not see an older draft.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (!link || !dirty || asks || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || link.hash && link.pathname === location.pathname && !link.search) return;
    event.preventDefault();
    save().then((ok) => { if (ok) location.assign(link.href); });
  });
  document.addEventListener("submit", (event) => {
    if (!dirty || asks || event.target === form || event.defaultPrevented) return;
    event.preventDefault();
    save().then((ok) => { if (ok) event.target.requestSubmit(event.submitter); });
  });
}

// What was just saved can be undone, and takes the place of what could be made again.
document.addEventListener("step:saved", () => {
  const [undo, redo] = document.querySelectorAll("[data-travel] button");
  if (undo) { undo.disabled = false; redo.disabled = true; }
});

// A link from the publish page names the field in the address.
const wanted = location.hash.startsWith("#field-") && document.getElementById(location.hash.slice(1));
if (wanted) {
  for (let up = wanted.parentElement; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  // A field of chips stands there once its script has run.
  setTimeout(() => {
    const field = document.getElementById(wanted.id) ?? wanted;
    (field.matches("input,select,textarea,[role=textbox]") ? field : field.querySelector("input"))?.focus();
  });
}

// Chip fields: what a text takes from earlier steps stands in it as a chip. The control behind keeps the text as it is
// stored, braces included; without a script that control is the field.

const numbers = JSON.parse(form?.dataset.numbers || "{}");
// A reference with its braces; texts in quotes and one level of braces inside may hold braces of their own.
const TOKEN = /\{\{(?:[^{}"']|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\{[^{}]*\})*\}\}/;
const PATH = /^(?:steps\.(\w+)\.output|(trigger)(?:\.body)?|item|index|run|workflow|vars)((?:\.[A-Za-z_]\w*|\[(?:\d+|"[^"\\]*")\])*)$/;

const chip = (token) => {
  const made = document.createElement("span");
  const source = token.slice(2, -2).trim();
  const found = PATH.exec(source);
  made.className = "tok";
  made.contentEditable = "false";
  made.dataset.token = made.title = token;
  if (!found) {
    made.classList.add("code");
    made.textContent = source || "…";
    return made;
  }
  const key = found[1] ?? found[2];
  if (key) {
    const number = document.createElement("i");
    number.textContent = numbers[key] ?? "?";
    made.append(number);
    if (!(key in numbers)) made.classList.add("gone");
  } else made.classList.add("code");
  made.append(key ? found[3].replace(/^\./, "") || (found[1] ? "everything" : "trigger") : source);
  return made;
};

const textOf = (node) => {
  if (node.nodeType === Node.TEXT_NODE) return node.data;
  if (node.dataset?.token) return node.dataset.token;
  if (node.nodeName === "BR") return "\n";
  return [...node.childNodes].map(textOf).join("");
};

// Whole references that stand in the text become chips; the caret stays where it was.
const settle = (box) => {
  const selection = getSelection();
  for (const node of [...box.childNodes]) {
    if (node.nodeType !== Node.TEXT_NODE) continue;
    const found = TOKEN.exec(node.data);
    if (!found) continue;
    const caret = selection.anchorNode === node ? selection.anchorOffset : -1;
    const token = node.splitText(found.index);
    const rest = token.splitText(found[0].length);
    token.replaceWith(chip(found[0]));
    if (caret > found.index) selection.collapse(rest, Math.max(0, caret - found.index - found[0].length));
    return settle(box);
  }
};

const draw = (box, text) => { box.textContent = text; settle(box); };

// A line's end at the very end of an editable text is the browser's own, so that the caret has a place there.
const valueOf = (box) => (box.childNodes.length ? textOf(box).replace(/\n$/, "") : "");

// What stands just before the caret, when that is a chip.
const before = (box) => {
  const { anchorNode: node, anchorOffset: offset, isCollapsed } = getSelection();
  if (!isCollapsed || (node !== box && offset > 0)) return null;
  let found = node === box ? box.childNodes[offset - 1] : node.previousSibling;
  while (found?.nodeType === Node.TEXT_NODE && !found.data) found = found.previousSibling;
  return found?.dataset?.token ? found : null;
};

const insertInto = (box, text) => {
  box.focus();
  const selection = getSelection();
  if (!selection.rangeCount || !box.contains(selection.anchorNode)) {
    selection.selectAllChildren(box);
    selection.collapseToEnd();
  }
  const range = selection.getRangeAt(0);
  range.deleteContents();
  const node = document.createTextNode(text);
  range.insertNode(node);
  selection.collapse(node, text.length);
  box.dispatchEvent(new InputEvent("input", { bubbles: true }));
};

const listen = (box, control, isLong) => {
  let was = control.value;
  box.addEventListener("input", () => { settle(box); control.value = valueOf(box); });
  box.addEventListener("focus", () => { was = control.value; });
  box.addEventListener("blur", () => { if (control.value !== was) control.dispatchEvent(new Event("change", { bubbles: true })); });
  box.addEventListener("beforeinput", (event) => {
    if (!isLong && (event.inputType === "insertParagraph" || event.inputType === "insertLineBreak")) event.preventDefault();
  });
  box.addEventListener("keydown", (event) => {
    for (const picked of box.querySelectorAll(".picked")) picked.classList.remove("picked");
    const found = event.key === "Backspace" ? before(box) : null;
    if (!found) return;
    // The first time it is selected, so that nothing goes that one did not look at.
    event.preventDefault();
    const range = document.createRange();
    range.selectNode(found);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    found.classList.add("picked");
  });
  // Nothing can be typed into a chip: who presses one writes beside it, on the side that was pressed.
  box.addEventListener("mousedown", (event) => {
    const pressed = event.target.closest(".tok");
    if (!pressed) return;
    event.preventDefault();
    box.focus();
    const { left, width } = pressed.getBoundingClientRect();
    const place = [...box.childNodes].indexOf(pressed) + (event.clientX > left + width / 2 ? 1 : 0);
    getSelection().collapse(box, place);
  });
  box.addEventListener("copy", take);
  box.addEventListener("cut", (event) => { take(event); document.execCommand("delete"); });
  box.addEventListener("paste", (event) => {
    event.preventDefault();
    const text = event.clipboardData.getData("text/plain");
    document.execCommand("insertText", false, isLong ? text : text.replace(/\s*\n\s*/g, " "));
  });
};

const take = (event) => {
  event.preventDefault();
  event.clipboardData.setData("text/plain", textOf(getSelection().getRangeAt(0).cloneContents()));
};

// The names that lead to a field belong to what is shown of it.
const hand = (from, to) => {
  for (const name of ["id", "data-takes", "aria-label", "aria-labelledby", "aria-describedby", "aria-invalid", "aria-required"]) {
    if (from.hasAttribute(name)) to.setAttribute(name, from.getAttribute(name));
    from.removeAttribute(name);
  }
  from.hidden = true;
  to.hidden = false;
};

const enhance = (control) => {
  const isLong = control.tagName === "TEXTAREA";
  const label = control.id && document.getElementById(`${control.id}-label`);
  const box = document.createElement("div");
  box.contentEditable = "plaintext-only";
  if (box.contentEditable !== "plaintext-only") return;
  if (control.matches(":disabled")) box.removeAttribute("contenteditable");
  box.className = `in chips${isLong ? " area" : ""}`;
  box.setAttribute("role", "textbox");
  box.setAttribute("aria-multiline", isLong);
  box.spellcheck = control.spellcheck;
  box.dataset.placeholder = control.placeholder;
  if (label) {
    box.setAttribute("aria-labelledby", label.id);
    label.addEventListener("click", (event) => { if (event.target === label) box.focus(); });
  }
  control.before(box);
  hand(control, box);
  draw(box, control.value);
  listen(box, control, isLong);
  if (!label || control.matches(":disabled")) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "astext";
  button.textContent = form.dataset.asText;
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    const asText = control.hidden;
    if (asText) hand(box, control);
    else { draw(box, control.value); hand(control, box); }
    button.setAttribute("aria-pressed", asText);
    (asText ? control : box).focus();
  });
  label.after(button);
};

const chipFields = (root) => {
  for (const control of root.querySelectorAll("input[data-takes]:not(.mono),textarea[data-takes]:not(.mono)")) enhance(control);
};

// "Reads as": what the texts say with the data of the last run.
const showReads = (reads) => {
  for (const line of document.querySelectorAll("[data-reads]")) {
    const found = reads[line.dataset.reads] ?? [];
    line.hidden = !found.length;
    line.lastElementChild.replaceChildren(...found.flatMap(([name, parts], index) => [
      ...(index ? [document.createElement("br")] : []),
      ...(name ? [Object.assign(document.createElement("span"), { className: "k", textContent: name }), " "] : []),
      ...parts.map(([text, isValue]) => (isValue ? Object.assign(document.createElement("b"), { textContent: text }) : text)),
    ]));
  }
};

if (form) chipFields(form);
document.addEventListener("data:insert", (event) => insertInto(event.target, event.detail));
document.addEventListener("fields:new", (event) => chipFields(event.target));
document.addEventListener("step:saved", (event) => showReads(event.detail.reads));
