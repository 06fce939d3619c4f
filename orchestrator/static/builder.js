// What the builder does better with a script: saves by itself, inserts data where the caret is, searches the data, shows
// references as chips.
// Everything also works through the plain form.

const form = document.getElementById("step-form");
const saved = document.getElementById("saved");
let last = null;

// How far saving is, in words that come with the page.
const say = (name) => { if (saved) saved.textContent = saved.dataset[name]; };

// Data: the field that had the focus last takes what is pressed in the data column.
document.addEventListener("focusin", (event) => {
  if (!event.target.matches("[data-takes]")) return;
  last = event.target;
  const { label, fits, why } = last.closest(".f").dataset, into = document.querySelector("[data-into]");
  into.hidden = false;
  into.lastElementChild.textContent = label;
  for (const leaf of document.querySelectorAll("[data-t]")) leaf.title = !fits || fits.includes(leaf.dataset.t) ? "" : `${sheet.dataset[leaf.dataset.t]}; ${why}`;
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
  const leaf = event.target.closest("[data-insert],[data-wrap],[data-shut]");
  // A field's own list: what is chosen there takes the place of all that stands in the field.
  const own = leaf?.closest(".f")?.querySelector("[data-takes]");
  if (own) {
    leaf.closest(".opts").replaceChildren();
    own.focus();
    if (leaf.dataset.insert) own.select ? own.select() : getSelection().selectAllChildren(own);
  }
  if (leaf?.dataset.wrap) format(leaf.dataset.wrap);
  else if (leaf?.dataset.insert) insert(leaf.dataset.insert);
  if (leaf) sheet.hidePopover();
  // On a narrow page the column is a sheet.
  const opens = event.target.closest(".insd,[for=find-data]"), field = opens?.closest(".f");
  if (field?.contains(last) === false) field.querySelector("[data-takes]").focus();
  if (opens && !find.checkVisibility()) sheet.showPopover();
});

// What is folded is kept for the server, which draws the outline.
document.addEventListener("click", ({ target }) => target.closest("[data-fold] > summary") && setTimeout(() => {
  document.cookie = `lanes=0-${[...document.querySelectorAll("[data-fold]:not([open])")].map((part) => part.dataset.fold).join("-")};path=${document.querySelector("[data-home]").dataset.home}`;
}));

const find = document.querySelector("[data-find-in]"), sheet = document.getElementById("data");
if (find) {
  find.closest("[data-search]").hidden = false;
  find.addEventListener("input", () => {
    const wanted = find.value.trim().toLowerCase();
    for (const leaf of document.querySelectorAll("[data-picker] [data-find]")) {
      leaf.hidden = wanted !== "" && !leaf.dataset.find.includes(wanted);
      if (wanted && !leaf.hidden) for (let up = leaf.parentElement; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
    }
  });
  find.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    document.querySelector("[data-picker] [data-find]:not([hidden])")?.click();
  });
}

// Names and values: a row more as soon as the last one is used.
document.addEventListener("input", (event) => {
  const group = event.target.closest("[data-pairs]");
  if (group && event.target.closest(".kvr") === group.lastElementChild) addRow(group);
});
const addRow = (group) => {
  const row = group.lastElementChild, index = group.children.length;
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
};

// A field that means nothing without another one is there once that is filled in, or has one of the values named.
const dependent = () => {
  for (const field of document.querySelectorAll("[data-show-if]")) {
    const [name, ...wanted] = field.dataset.showIf.split(" "), value = form.elements[`in.${name}`]?.value;
    field.hidden = value === "" || Boolean(value && wanted[0] && !value.includes("{{") && !wanted.includes(value));
  }
};
if (form) { form.addEventListener("input", dependent); dependent(); }

// Saving: on leaving a field, or 600 ms after the last key.
let timer = 0, dirty = false, busy = false;
// What the server refused is only on this page: leaving it asks first. `asks`: a save waits for the person's word.
let refused = Boolean(form?.querySelector("[role=alert]")), asks = refused;

const showProblems = (problems, warned = []) => {
  for (const line of form.querySelectorAll("[data-error]")) {
    const text = problems[line.dataset.error] ?? "", mild = warned.includes(line.dataset.error);
    line.hidden = !text;
    line.classList.toggle("mild", mild);
    line.querySelector("span").textContent = text;
    const control = document.getElementById(`field-${line.dataset.error}`);
    if (control?.matches("input,select,textarea,[role=textbox]")) text && !mild ? control.setAttribute("aria-invalid", "true") : control.removeAttribute("aria-invalid");
  }
};

const showSaved = (answer) => {
  form.elements.revision.value = answer.revision;
  form.elements.seen.value = answer.seen;
  showProblems(answer.problems, answer.warned);
  document.getElementById("problems").innerHTML = answer.summary;
  for (const title of document.querySelectorAll(`[data-title="${form.dataset.step}"],[data-panel-title]`)) title.textContent = answer.title;
  form.querySelector("[data-rule]").textContent = answer.rule;
  for (const who of document.querySelectorAll(".oth")) who.innerHTML = answer.others[who.id.slice(4)] ?? "";
  document.dispatchEvent(new CustomEvent("step:saved", { detail: answer }));
  const changes = document.getElementById("changes");
  if (changes) { changes.hidden = !answer.changes; changes.textContent = answer.changed; }
};

// Not saved: a conflict waits for the person's word, everything else for the next change.
const refuse = (status, answer) => {
  refused = true;
  say("failed");
  note(answer.message ?? saved.dataset.refused);
  showProblems(answer.problems ?? {});
  if (status !== 409) return;
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

// What cannot be sent is kept in this browser, by person, workflow, step and revision, and tried again by itself. `away`
// counts the tries in vain.
const publish = document.querySelector("[data-publish]"), publishAt = publish?.getAttribute("href");
let away = 0;

const kept = (start) => Object.keys(localStorage).filter((name) => name.startsWith(start));
const forget = () => { for (const name of kept(form.dataset.draft)) localStorage.removeItem(name); };
const keep = () => {
  forget();
  const values = [...new FormData(form)].filter(([name]) => !form.elements.namedItem(name).matches?.("[type=hidden],[type=password]"));
  try {
    localStorage.setItem(form.dataset.draft + form.elements.revision.value, JSON.stringify([form.elements.seen.value, values]));
  } catch { /* No room: what was typed is still in its fields. */ }
};

const setAway = (tries) => {
  if (tries === 1) { say("again"); note(saved.dataset.away); }
  if (publish && !tries !== !away) {
    tries ? publish.removeAttribute("href") : publish.setAttribute("href", publishAt);
    for (const [name, value] of [["role", "link"], ["aria-disabled", "true"], ["aria-describedby", "refused"]]) {
      tries ? publish.setAttribute(name, value) : publish.removeAttribute(name);
    }
  }
  away = tries;
};

// What was kept comes back; a change that somebody else made meanwhile is told by the save, as any other is.
const restore = () => {
  const [name] = kept(form.dataset.draft);
  if (!name) return;
  const [seen, values] = JSON.parse(localStorage[name]);
  for (const [at, value] of values) {
    const group = [...form.querySelectorAll("[data-pairs]")].find(({ dataset }) => at.startsWith(`${dataset.pairs}.`));
    if (group && !form.elements.namedItem(at)) addRow(group);
    const control = form.elements.namedItem(at), before = control?.value;
    if (!control) continue;
    control.value = value;
    if (control.value !== value) control.value = before;
  }
  form.elements.revision.value = name.slice(form.dataset.draft.length);
  form.elements.seen.value = seen;
  dirty = true;
  setTimeout(save);
};

const send = async () => {
  dirty = false;
  busy = true;
  if (!away) say("saving");
  try {
    const response = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" }, signal: AbortSignal.timeout(20000) });
    const answer = await response.json();
    setAway(0);
    forget();
    if (response.ok) { refused = false; note(""); showSaved(answer); say(dirty ? "editing" : "saved"); }
    else refuse(response.status, answer);
    return response.ok;
  } catch {
    dirty = true;
    keep();
    setAway(away + 1);
    timer = setTimeout(save, Math.min(30000, 1000 * 2 ** away));
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

const changed = (event) => {
  if (event.target.type === "search") return;
  dirty = true;
  away ? keep() : say("editing");
  clearTimeout(timer);
  // A reference that is being looked for would be told as a wrong one.
  if (!picking) timer = setTimeout(save, 600);
};

if (form && !form.querySelector("fieldset").disabled) {
  form.addEventListener("input", changed);
  form.addEventListener("change", (event) => { changed(event); save(); });
  form.addEventListener("submit", (event) => {
    clearTimeout(timer);
    if (away) {
      event.preventDefault();
      return save().then((ok) => { if (ok) form.requestSubmit(event.submitter); });
    }
    // A save under way changes what the form knows of the step: sent beside it, the form would conflict with itself.
    if (busy) {
      event.preventDefault();
      running.then(() => { if (!asks) form.requestSubmit(event.submitter); });
    } else dirty = refused = false;
  });
  addEventListener("beforeunload", (event) => { if (dirty || refused) { save(); if (!away) event.preventDefault(); } });
  addEventListener("online", () => { if (away) save(); });
  if (!asks) restore();
  form.querySelector("[data-save]").hidden = !asks;
  // Whatever leads on waits for what was typed: publish must not see an older draft.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (!link || !dirty || asks || away || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || link.hash && link.pathname === location.pathname && !link.search) return;
    event.preventDefault();
    save().then((ok) => { if (ok) location.assign(link.href); });
  });
  document.addEventListener("submit", (event) => {
    if (!dirty || asks || event.target === form || event.defaultPrevented || (away && event.target.matches("[data-leaves]"))) return;
    event.preventDefault();
    save().then((ok) => { if (ok) event.target.requestSubmit(event.submitter); });
  });
}

// What was just saved can be undone, and takes the place of what could be made again.
document.addEventListener("step:saved", () => {
  const [undo, redo] = document.querySelectorAll("[data-travel] button");
  if (undo) { undo.disabled = false; redo.disabled = true; }
});

// A card that is dragged to a place does what "Move to…" does in its menu.
const mover = document.getElementById("move-form");
let dragged = "", over = null;
const point = (place) => {
  over?.classList.remove("over");
  over = place;
  over?.classList.add("over");
};
const placeAt = (event) => (dragged ? event.target.closest("[data-place]") : null);

document.addEventListener("dragstart", (event) => {
  const card = mover && event.target.closest?.("[data-card]");
  if (!card) return;
  dragged = card.dataset.card;
  event.dataTransfer.effectAllowed = "move";
  // Changing the page within this event ends the drag at once in Chromium.
  setTimeout(() => document.body.classList.add("drags"));
});
document.addEventListener("dragover", (event) => {
  const place = placeAt(event);
  if (place) event.preventDefault();
  if (place !== over) point(place);
});
document.addEventListener("drop", (event) => {
  const place = placeAt(event);
  if (!place) return;
  event.preventDefault();
  mover.action = mover.dataset.at.replace("key_", dragged);
  mover.elements.place.value = place.dataset.place;
  mover.requestSubmit();
});
document.addEventListener("dragend", () => {
  dragged = "";
  point(null);
  document.body.classList.remove("drags");
});

// A link from the publish page names the field in the address.
const wanted = location.hash.startsWith("#field-") && document.getElementById(location.hash.slice(1));
if (wanted) {
  for (let up = wanted.parentElement; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  // A field of chips stands there once its script has run.
  setTimeout(() => {
    const field = document.getElementById(location.hash.slice(1)) ?? wanted;
    (field.matches("input,select,textarea,[role=textbox]") ? field : field.querySelector("input"))?.focus();
  });
}

// Chip fields: what a text takes from earlier steps stands in it as a chip. The control behind keeps the text as it is
// stored, braces included; without a script that control is the field.

const numbers = JSON.parse(form?.dataset.numbers || "{}");
// A reference with its braces; texts in quotes and one level of braces inside may hold braces of their own.
const TOKEN = /\{\{(?:[^{}"']|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\{[^{}]*\})*\}\}/;
const PATH = /^(?:steps\.(\w+)\.output|(trigger)(?:\.body)?|item|index|run|workflow|vars)((?:\.[A-Za-z_]\w*|\[(?:\d+|"[^"\\]*")\])*)$/;

// A function around a value: what is in it, without its other arguments.
const CALL = /^(\w+)\((.+?)(?:, [^()]*)?\)$/;

// A chip whose reference leads to nothing is red and says why, as the line below the field does.
const judge = (made) => {
  const line = [...form.querySelectorAll("[data-gone]")].find(({ dataset }) => dataset.gone === made.dataset.source);
  made.classList.toggle("gone", Boolean(line) || "lost" in made.dataset);
  made.title = line ? line.dataset.why : made.dataset.token;
};

const chip = (token) => {
  const made = document.createElement("span");
  const whole = token.slice(2, -2).trim(), formats = [];
  let source = whole;
  for (let call; (call = CALL.exec(source)); source = call[2].trim()) formats.unshift(call[1]);
  const found = PATH.exec(source);
  made.className = "tok";
  made.contentEditable = "false";
  made.dataset.token = made.title = token;
  if (!found) {
    made.classList.add("code");
    made.textContent = whole || "…";
    return made;
  }
  const key = found[1] ?? found[2];
  if (key) {
    const number = document.createElement("i");
    number.textContent = numbers[key] ?? "?";
    made.append(number);
    if (!(key in numbers)) made.dataset.lost = "";
  } else made.classList.add("code");
  made.dataset.source = source;
  judge(made);
  const name = key ? found[3].replace(/^\./, "") || (found[1] ? form.dataset.whole : form.dataset.start) : source;
  made.append([name, ...formats].join(" · "));
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

// "Format a value": a function goes around the chip before the caret, else around the last one of the field.
const format = (call) => {
  const box = last?.isConnected && last.isContentEditable ? last : null;
  const found = box && (before(box) ?? [...box.querySelectorAll(".tok")].pop());
  if (!found) return insert(`{{ ${call.replace("%", "")} }}`);
  const made = chip(`{{ ${call.replace("%", () => found.dataset.token.slice(2, -2).trim())} }}`);
  found.replaceWith(made);
  box.focus();
  getSelection().collapse(box, [...box.childNodes].indexOf(made) + 1);
  box.dispatchEvent(new InputEvent("input", { bubbles: true }));
};

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

// Data at the caret: `{{`, or a slash that begins a word, opens what the data column has as a list at the field.
const list = document.createElement("ul");
let picking = null, picked = null, typed = 0;

const pick = (option) => {
  picked?.setAttribute("aria-selected", "false");
  picked = option;
  option.setAttribute("aria-selected", "true");
  option.scrollIntoView({ block: "nearest" });
  picking.setAttribute("aria-activedescendant", option.id);
};

const place = () => {
  if (!picking) return;
  const { left, top, bottom, width } = picking.getBoundingClientRect(), isBelow = innerHeight - bottom > 290;
  list.style.left = `${left}px`;
  list.style.width = `${width}px`;
  list.style.top = isBelow ? `${bottom + 4}px` : "auto";
  list.style.bottom = isBelow ? "auto" : `${innerHeight - top + 4}px`;
};
addEventListener("scroll", place, true);
addEventListener("resize", place);

// While the list is open the field is its combobox.
const shut = () => {
  if (!picking) return;
  const box = picking;
  picking = null;
  list.remove();
  for (const name of ["aria-expanded", "aria-autocomplete", "aria-controls", "aria-activedescendant"]) box.removeAttribute(name);
  box.setAttribute("role", "textbox");
  box.setAttribute("aria-multiline", box.classList.contains("area"));
  if (dirty) timer = setTimeout(save, 600);
};

const offer = (box) => {
  const { anchorNode: node, anchorOffset: end, isCollapsed } = getSelection();
  if (!isCollapsed || node?.nodeType !== Node.TEXT_NODE || !box.contains(node)) return shut();
  const range = document.createRange();
  range.setStart(box, 0);
  range.setEnd(node, end);
  const text = textOf(range.cloneContents());
  const found = /\{\{([^{}]*)$/.exec(text) ?? (/^(?:\s|$)/.test(node.data.slice(end)) && /(?<!\S)\/([^\s/]*)$/.exec(text));
  const wanted = found && found[1].trim().toLowerCase();
  const leaves = found ? [...document.querySelectorAll("[data-picker] [data-insert]")].filter(({ dataset }) =>
    dataset.find.includes(wanted) || dataset.insert.toLowerCase().includes(wanted)).slice(0, 40) : [];
  if (!leaves.length) return shut();
  typed = found[0].length;
  list.replaceChildren(...leaves.map((leaf, index) => {
    const option = document.createElement("li"), source = document.createElement("span");
    source.className = "m trunc";
    source.textContent = leaf.closest("details.src").querySelector(".trunc").textContent;
    option.append(...[...leaf.querySelectorAll(".k,.v")].map((part) => part.cloneNode(true)), source);
    // In the column a name stands below what holds it; here its path says that.
    option.firstElementChild.textContent = leaf.dataset.insert.slice(3, -3).replace(/^(?:steps\.\w+\.output|trigger)\.?/, "") || form.dataset.whole;
    option.id = `pick-${index}`;
    option.title = leaf.title;
    option.dataset.token = leaf.dataset.insert;
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", "false");
    return option;
  }));
  if (!picking) {
    form.append(list);
    for (const [name, value] of [["role", "combobox"], ["aria-expanded", "true"], ["aria-autocomplete", "list"], ["aria-controls", list.id]]) box.setAttribute(name, value);
    box.removeAttribute("aria-multiline");
    picking = box;
    clearTimeout(timer);
  }
  place();
  pick(list.firstElementChild);
};

const accept = (option) => {
  const box = picking, { anchorNode: node, anchorOffset: end } = getSelection();
  getSelection().setBaseAndExtent(node, end - typed, node, end);
  shut();
  insertInto(box, option.dataset.token);
};

list.id = "pick";
list.className = "js pick";
list.setAttribute("role", "listbox");
list.setAttribute("aria-label", form?.dataset.pick);
list.addEventListener("mousedown", (event) => {
  event.preventDefault();
  const option = event.target.closest("li");
  if (option) accept(option);
});

const listen = (box, control, isLong) => {
  let was = control.value;
  box.addEventListener("input", () => { settle(box); control.value = valueOf(box); offer(box); });
  box.addEventListener("focus", () => { was = control.value; });
  box.addEventListener("blur", () => { shut(); if (control.value !== was) control.dispatchEvent(new Event("change", { bubbles: true })); });
  box.addEventListener("beforeinput", (event) => {
    if (!isLong && (event.inputType === "insertParagraph" || event.inputType === "insertLineBreak")) event.preventDefault();
  });
  box.addEventListener("keydown", (event) => {
    if (picking && ["ArrowDown", "ArrowUp", "Enter", "Escape"].includes(event.key)) {
      event.preventDefault();
      if (event.key === "Escape") return shut();
      if (event.key === "Enter") return accept(picked);
      const next = event.key === "ArrowDown" ? picked.nextElementSibling ?? list.firstElementChild : picked.previousElementSibling ?? list.lastElementChild;
      return pick(next);
    }
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
document.addEventListener("step:saved", (event) => {
  showReads(event.detail.reads);
  for (const lines of form.querySelectorAll("[data-broken]")) lines.innerHTML = event.detail.broken[lines.dataset.broken] ?? "";
  for (const made of form.querySelectorAll(".tok[data-source]")) judge(made);
});
