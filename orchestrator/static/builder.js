// What the builder does better with a script: saves by itself, inserts data where the caret is, searches the data.
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
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    document.querySelector('[name="then"][value="test"]').click();
  });
}

// Undo and redo of the draft; inside a field the keys are the field's own. What was just saved can be undone.
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || event.target.matches("input,select,textarea,[contenteditable]")) return;
  event.preventDefault();
  document.querySelectorAll("[data-travel] button")[event.shiftKey ? 1 : 0]?.click();
});
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
