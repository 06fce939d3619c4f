// Menus worked by keys alone. That of actions filters rows that are on the page, search (data-ask) has the server find
// them, by the same rules (orchestrator/builder/add_search.py). Without a script both are forms that do.

const WORD = /[\p{L}\p{N}_#+.-]+/gu;
const wordsOf = (text) => text.toLowerCase().match(WORD) ?? [];

// At most one letter another, one more, one less, or two swapped.
const near = (left, right) => {
  if (Math.abs(left.length - right.length) > 1) return false;
  let at = 0;
  while (at < left.length && at < right.length && left[at] === right[at]) at += 1;
  const a = left.slice(at), b = right.slice(at);
  return a.slice(1) === b.slice(1) || a.slice(1) === b || a === b.slice(1)
    || (a.length > 1 && b.length > 1 && a[0] === b[1] && a[1] === b[0] && a.slice(2) === b.slice(2));
};

const found = (term, text, words) => text.includes(term) || (term.length > 3 && words.some((word) =>
  near(term, word) || [-1, 0, 1].some((more) => near(term, word.slice(0, term.length + more)))));

const score = (terms, row) => {
  if (!terms.length) return 0;
  if (!terms.every((term) => found(term, row.text, row.words))) return -1;
  if (row.name.startsWith(terms.join(" "))) return 0;
  if (terms.every((term) => row.name.includes(term))) return 1;
  return terms.every((term) => row.text.includes(term)) ? 2 : 3;
};

const mark = (element, terms) => {
  const text = element.textContent;
  const wanted = [...new Set(terms)].sort((a, b) => b.length - a.length)
    .map((term) => term.replace(/[.*+?^${}()|[\]\\-]/g, "\\$&"));
  const parts = wanted.length ? text.split(new RegExp(`(${wanted.join("|")})`, "i")) : [text];
  element.replaceChildren(...parts.filter(Boolean).map((part) => {
    const hit = wanted.length && new RegExp(`^(?:${wanted.join("|")})$`, "i").test(part);
    if (!hit) return part;
    const node = document.createElement("mark");
    node.textContent = part;
    return node;
  }));
};

const start = (menu) => {
  const get = (name) => menu.querySelector(`[data-${name}]`);
  const input = get("q"), options = get("options"), count = get("count"), none = get("none"), preview = get("preview");
  const all = () => [...options.querySelectorAll(".op")], address = menu.dataset.ask;
  const rows = address ? [] : all().map((element) => ({
    element,
    text: element.dataset.find,
    words: wordsOf(element.dataset.find),
    name: element.querySelector("b").textContent.toLowerCase(),
    order: 0,
  }));
  // What is outside the open category stays away whatever is typed.
  const links = [...menu.querySelectorAll(".cg a")];
  const open = links.find((link) => link.hasAttribute("aria-current"))?.dataset.cat ?? "";
  const inside = (row, category) => !category || row.element.dataset.cat === category;
  const searchable = rows.filter((row) => inside(row, open));
  const previews = new Map();
  let active = null, timer = 0, asked = "", busy = false;

  const shown = () => all().filter((element) => !element.hidden);

  const show = (key, html) => {
    if (key !== asked) return;
    preview.innerHTML = html;
    for (const hint of preview.querySelectorAll("[data-keys]")) hint.hidden = false;
  };

  const ask = async (key) => {
    asked = key;
    if (previews.has(key)) return show(key, previews.get(key));
    try {
      const answer = await fetch(`${menu.dataset.about}&about=${encodeURIComponent(key)}`, { headers: { "HX-Request": "true" } });
      if (!answer.ok) return;
      previews.set(key, await answer.text());
      show(key, previews.get(key));
    } catch { /* Away for a moment: the row itself says enough to be chosen. */ }
  };

  const choose = (element, scroll = true) => {
    active?.setAttribute("aria-selected", "false");
    active = element ?? null;
    if (preview) preview.hidden = !active;
    if (!active) return input.removeAttribute("aria-activedescendant");
    active.setAttribute("aria-selected", "true");
    input.setAttribute("aria-activedescendant", active.id);
    if (scroll) active.scrollIntoView({ block: "nearest" });
    if (!preview) return;
    clearTimeout(timer);
    timer = setTimeout(ask, previews.has(active.value) ? 0 : 60, active.value);
  };

  const settle = () => {
    const left = shown();
    count.textContent = `${left.length} ${left.length === 1 ? count.dataset.one : count.dataset.many}`;
    none.hidden = left.length > 0;
    none.querySelector("[data-said]").textContent = input.value.trim();
    choose(left[0]);
  };

  const adopt = () => {
    for (const group of options.querySelectorAll("[data-group]")) {
      group.setAttribute("role", "group");
      group.querySelector(".gh").setAttribute("role", "presentation");
    }
    for (const element of all()) {
      element.setAttribute("role", "option");
      element.setAttribute("aria-selected", "false");
      element.tabIndex = -1;
    }
  };

  // One question at a time; while the server is away the rows stay.
  const search = async () => {
    if (busy) return;
    busy = true;
    do {
      asked = input.value;
      const answer = await fetch(`${address}?q=${encodeURIComponent(asked)}`, { headers: { "HX-Request": "true" } }).catch(() => null);
      if (!answer?.ok) continue;
      options.innerHTML = await answer.text();
      adopt();
      settle();
    } while (asked !== input.value);
    busy = false;
  };

  const filter = () => {
    const terms = wordsOf(input.value).slice(0, 12);
    for (const row of rows) row.order = score(terms, row);
    for (const link of links) {
      link.querySelector(".n").textContent = rows.filter((row) => row.order >= 0 && inside(row, link.dataset.cat)).length;
      const address = new URL(link.href);
      address.searchParams.set("q", input.value.trim());
      link.href = address;
    }
    for (const row of searchable) {
      row.element.hidden = row.order < 0;
      for (const part of row.element.querySelectorAll("[data-mark]")) mark(part, terms);
    }
    const sorted = [...searchable].sort((a, b) => a.order - b.order || (a.name < b.name ? -1 : 1));
    for (const row of sorted) row.element.parentElement.append(row.element);
    const fits = (group) => Math.min(9, ...searchable.filter((row) => row.order >= 0 && group.contains(row.element)).map((row) => row.order));
    // What fits best comes first, in whichever group it is; the same fit leaves the groups in their order.
    const groups = ["connected", "needs", "builtin"].map((key) => options.querySelector(`[aria-labelledby="add-${key}"]`))
      .filter(Boolean).map((group) => [fits(group), group]);
    for (const [, group] of groups.sort((a, b) => a[0] - b[0])) {
      group.hidden = !group.querySelector(".op:not([hidden])");
      group.parentElement.append(group);
    }
    settle();
  };

  const move = (by) => {
    const list = shown();
    if (list.length) choose(list[(list.indexOf(active) + by + list.length) % list.length]);
  };

  input.setAttribute("role", "combobox");
  input.setAttribute("aria-expanded", "true");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-controls", options.id);
  options.setAttribute("role", "listbox");
  adopt();
  options.addEventListener("mousemove", ({ target }) => {
    const element = target.closest(".op");
    if (element && element !== active) choose(element, false);
  });
  for (const hint of menu.querySelectorAll("[data-keys]")) hint.hidden = false;
  get("plain").hidden = true;

  input.addEventListener("input", address ? search : filter);
  // A command pasted into the search is the step itself.
  input.addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text/plain"), form = get("curl");
    if (!form || !/^\s*((\$\s+)?curl\s|\{\s*")/.test(text)) return;
    event.preventDefault();
    form.elements.curl.value = text;
    form.requestSubmit();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowUp") move(-1);
    else if (event.key === "Enter") (active ?? none.querySelector("button"))?.click();
    else return;
    event.preventDefault();
  });
  input.form.addEventListener("submit", (event) => event.preventDefault());
  choose(shown()[0], false);
  if (document.activeElement !== input) input.focus({ preventScroll: true });
  // What was typed before this script came.
  if (address && input.value !== input.defaultValue) search();
};

const startAll = (root) => {
  for (const menu of root.querySelectorAll?.("[data-add-step]:not([data-started]),[data-ask]:not([data-started])") ?? []) {
    menu.dataset.started = "";
    start(menu);
  }
};
document.addEventListener("htmx:load", (event) => startAll(event.target.parentElement ?? document));
startAll(document);
