// Chip fields: what a text takes from earlier steps stands in it as a chip. The control behind keeps the text as it is
// stored, braces included; without a script that control is the field.

const form = document.getElementById("step-form");
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
