// The editor of code steps: the text field behind it keeps the code, so that saving, and pages without a script, go on
// as they do. Built into codemirror.min.js together with the libraries that it imports, as codemirror.md says.

import { EditorState } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { HighlightStyle, bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { python } from "@codemirror/lang-python";
import { javascript } from "@codemirror/lang-javascript";
import { tags } from "@lezer/highlight";
import { StyleModule } from "style-mod";

// CodeMirror would write its rules into a <style> element, which our content security policy refuses.
const sheet = new CSSStyleSheet();
const mounted = new Set();
StyleModule.mount = (root, modules) => {
  for (const module of [modules].flat()) {
    if (mounted.has(module)) continue;
    mounted.add(module);
    for (const rule of module.rules) sheet.insertRule(rule, sheet.cssRules.length);
  }
  if (!document.adoptedStyleSheets.includes(sheet)) document.adoptedStyleSheets.push(sheet);
};

const LANGUAGES = { python, javascript };

const look = EditorView.theme({
  "&": { border: "1px solid var(--ctl)", borderRadius: "var(--r-2)", background: "var(--surface)", color: "var(--ink)", fontSize: "13px" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-1px" },
  ".cm-scroller": { fontFamily: "var(--mono)", minHeight: "240px", maxHeight: "60vh", lineHeight: "1.55" },
  ".cm-gutters": { background: "var(--raised)", color: "var(--ink-3)", border: "0", borderRight: "1px solid var(--line)" },
  ".cm-activeLine, .cm-activeLineGutter": { background: "var(--hover)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { background: "var(--accent-bg)" },
  "&.cm-focused .cm-matchingBracket": { background: "var(--accent-bg)", outline: "1px solid var(--accent)" },
  ".tk-k": { color: "light-dark(#5b3cc4, #c3b3ff)" }, ".tk-s": { color: "light-dark(#0e6b4a, #86d6ab)" },
  ".tk-n": { color: "light-dark(#7a3e00, #f0c078)" }, ".tk-c": { color: "var(--ink-3)" }, ".tk-f": { color: "light-dark(#1c4fa3, #9dbdff)" },
});

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.controlKeyword], class: "tk-k" },
  { tag: [tags.string, tags.special(tags.string)], class: "tk-s" },
  { tag: [tags.number, tags.bool, tags.null], class: "tk-n" },
  { tag: [tags.comment], class: "tk-c" },
  { tag: [tags.function(tags.variableName), tags.definition(tags.variableName)], class: "tk-f" },
]);

// The browser, replacing several lines by what is typed, would carry their style over in an attribute, which our policy
// refuses and reports.
const replaced = EditorView.domEventHandlers({
  beforeinput(event, view) {
    if (event.inputType !== "insertText" || event.data === null || view.state.selection.main.empty) return false;
    event.preventDefault();
    view.dispatch(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
    return true;
  },
});

const edit = (field) => {
  const language = LANGUAGES[field.dataset.language];
  const label = document.getElementById(`${field.id}-label`);
  const named = { "aria-labelledby": label?.id, "aria-describedby": field.getAttribute("aria-describedby"), id: field.id };
  const isOff = field.matches(":disabled");
  let was = field.value;
  const told = EditorView.updateListener.of((update) => {
    if (update.docChanged) {
      field.value = update.state.doc.toString();
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
  });
  const view = new EditorView({
    doc: field.value,
    extensions: [
      lineNumbers(), history(), drawSelection(), indentOnInput(), bracketMatching(), highlightActiveLine(),
      indentUnit.of(field.dataset.language === "python" ? "    " : "  "),
      // Tab goes on to the next control: who cannot use a pointer must get out.
      keymap.of([...defaultKeymap.filter(({ key }) => key !== "Mod-Enter"), ...historyKeymap]),
      syntaxHighlighting(colours), look, EditorView.lineWrapping,
      EditorView.contentAttributes.of(Object.fromEntries(Object.entries(named).filter(([, value]) => value))),
      EditorState.readOnly.of(isOff), EditorView.editable.of(!isOff),
      ...(language ? [language()] : []), told, replaced,
    ],
  });
  // At once, not when the editor has noticed: whoever leaves it by a press on a button saves first.
  view.contentDOM.addEventListener("blur", () => {
    if (field.value === was) return;
    was = field.value;
    field.dispatchEvent(new Event("change", { bubbles: true }));
  });
  field.removeAttribute("id");
  field.before(view.dom);
  field.hidden = true;
  label?.addEventListener("click", () => view.focus());
};

for (const field of document.querySelectorAll("textarea[data-language]")) edit(field);
