// The grid page. The address holds the view; everything here follows from it.
import { get } from "/static/api.js";
import { chooseCollection } from "/static/collect.js";
import { $, $$, count, h, plural, read, say } from "/static/dom.js";
import { Range } from "/static/range.js";
import { FIRST, Scroller } from "/static/scroller.js";
import { Selection } from "/static/selection.js";
import { tileOf } from "/static/tile.js";

const settings = read("settings");
const form = $("[data-filters]");
const results = $(".results");
let view = new URLSearchParams(location.search);
let asked = 0;
let typing;

const selection = new Selection(() => showSelection());
const scroller = new Scroller($("[data-scroller]"), {
  size: Number(localStorage.getItem("tile") ?? 184),
  load: async (offset, limit) => (await fetchTiles(offset, limit)).tiles,
  make: (image, index) => tileOf(image, {
    index,
    chosen: selection.has(image.id),
    ...neighbours(image, index),
    ontick: (event) => tickAt(index, event.shiftKey),
  }),
});
const range = new Range($("[data-range]"), {
  bars: settings.bars,
  duplicate: settings.duplicate,
  near: settings.near,
  snaps: [settings.duplicateBound, settings.nearBound, settings.duplicate, settings.near],
  onchange: (low, high) => {
    change({ min: low > 0 ? String(low) : null, max: high < 1 ? String(high) : null });
  },
});

function fetchTiles(offset, limit) {
  const query = new URLSearchParams(view);
  query.set("offset", offset);
  query.set("limit", limit);
  return get("/api/images", query);
}

// Set (a text or a list) or unset (null) parameters of the view, put it into the address, and show it.
function change(parameters, keepSelection = false) {
  const next = new URLSearchParams(view);
  for (const [name, value] of Object.entries(parameters)) {
    next.delete(name);
    for (const item of [value ?? []].flat()) if (item !== "") next.append(name, item);
  }
  history.replaceState(null, "", `${location.pathname}${next.size ? `?${next}` : ""}`);
  view = next;
  if (!keepSelection) selection.clear();
  return refresh();
}

async function refresh() {
  const ticket = (asked += 1);
  showForm();
  try {
    const found = await fetchTiles(0, FIRST);
    if (ticket !== asked) return;
    $("[data-total]").textContent = plural(found.total, "image");
    $("[data-of]").textContent = found.total === found.of ? "" : `of ${count(found.of)}`;
    $("[data-all-count]").textContent = count(found.total);
    $("[data-empty]").hidden = found.total > 0;
    range.draw(found.histogram);
    scroller.reset(found.total, found.tiles);
    showSelection();
  } catch (error) {
    if (ticket === asked) say(error.message, true);
  }
}

// ---- the form follows the view, and the view the form

function showForm() {
  range.show(Number(view.get("min") ?? 0), Number(view.get("max") ?? 1));
  for (const name of ["q", "label", "split", "folder"]) form.elements[name].value = view.get(name) ?? "";
  $("[data-sort]").value = [view.get("sort") ?? "uniqueness", view.get("order")].filter(Boolean).join(" ");
  $("[data-together]").checked = view.get("together") !== "0";
  for (const button of $$("[data-preset]")) {
    const whole = !view.has("min") && (view.get("max") ?? "1") === button.dataset.preset;
    button.setAttribute("aria-pressed", String(whole || (view.get("min") === "0" && view.get("max") === button.dataset.preset)));
  }
  for (const button of $$("[data-in], [data-out]")) {
    const [name, tag] = button.dataset.in === undefined ? ["not", button.dataset.out] : ["tag", button.dataset.in];
    button.setAttribute("aria-pressed", String(view.getAll(name).includes(tag)));
  }
}

function showFacets(facets) {
  for (const select of $$("[data-facet]")) {
    const options = facets[select.dataset.facet].filter(([, images]) => images);
    select.replaceChildren(select.options[0], ...options.map(([name, images]) => h("option", { value: name }, `${name} (${count(images)})`)));
    select.closest("label").hidden = !options.length;
  }
  const rows = facets.tag.map(([tag, images]) => h("li", {},
    h("span", { class: "name", title: tag }, tag), h("span", { class: "muted numbers" }, count(images)),
    h("span", { class: "tri" },
      h("button", { type: "button", "data-in": tag, "aria-label": `Only ${tag}`, onclick: () => toggleTag("tag", "not", tag) }, "only"),
      h("button", { type: "button", class: "out", "data-out": tag, "aria-label": `Without ${tag}`, onclick: () => toggleTag("not", "tag", tag) }, "without"))));
  $("[data-collections]").replaceChildren(...(rows.length ? rows : [h("li", { class: "muted" }, "none yet")]));
}

function toggleTag(name, other, tag) {
  const on = view.getAll(name).includes(tag);
  const left = view.getAll(name).filter((item) => item !== tag);
  change({ [name]: on ? left : [...left, tag], [other]: view.getAll(other).filter((item) => item !== tag) });
}

$("[data-fold]").addEventListener("click", ({ currentTarget }) => {
  currentTarget.setAttribute("aria-expanded", String(form.classList.toggle("open")));
});
form.addEventListener("submit", (event) => event.preventDefault());
form.elements.q.addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(() => change({ q: event.target.value.trim() }), 120);
});
for (const name of ["label", "split", "folder"]) form.elements[name].addEventListener("change", (event) => change({ [name]: event.target.value }));
for (const button of $$("[data-preset]")) {
  button.addEventListener("click", () => change(button.dataset.preset === "1" ? { min: null, max: null } : { min: "0", max: button.dataset.preset }));
}
for (const button of $$("[data-reset]")) {
  button.addEventListener("click", () => {
    view = new URLSearchParams();
    change({});
  });
}
$("[data-sort]").addEventListener("change", (event) => {
  const [sort, order] = event.target.value.split(" ");
  change({ sort: sort === "uniqueness" ? null : sort, order: order ?? null }, true);
});
$("[data-together]").addEventListener("change", (event) => change({ together: event.target.checked ? null : "0" }, true));
$("[data-size]").value = String(scroller.size);
$("[data-size]").addEventListener("change", (event) => {
  localStorage.setItem("tile", event.target.value);
  scroller.resize(Number(event.target.value));
});
addEventListener("popstate", () => {
  view = new URLSearchParams(location.search);
  refresh();
});

// ---- partners side by side

function neighbours(image, index) {
  const sorted = (view.get("sort") ?? "uniqueness") === "uniqueness" && view.get("together") !== "0";
  if (!sorted || image.label !== "near") return { grouped: false, linked: false };
  const same = (other) => other?.group === image.group && other.label === "near";
  const after = same(scroller.at(index + 1));
  return { grouped: after || same(scroller.at(index - 1)), linked: after && (index + 1) % scroller.columns !== 0 };
}

// ---- selecting

async function tickAt(index, ranged) {
  const image = scroller.at(index);
  const chosen = !selection.has(image.id);
  const ids = ranged && selection.last !== null ? (await scroller.between(selection.last, index)).map((one) => one.id) : [image.id];
  selection.last = index;
  selection.set(ids, ranged ? true : chosen);
}

function showSelection() {
  const size = selection.size(scroller.total);
  $("[data-selection]").hidden = size === 0;
  results.classList.toggle("selecting", size > 0);
  $("[data-selected]").textContent = count(size);
  for (const [index, element] of scroller.shown) {
    const chosen = selection.has(scroller.at(index).id);
    element.classList.toggle("chosen", chosen);
    $(".tick", element).setAttribute("aria-checked", String(chosen));
  }
}

$("[data-select-all]").addEventListener("click", () => selection.selectAll());
$("[data-select-none]").addEventListener("click", () => selection.clear());
for (const [button, take] of [[$("[data-add]"), false], [$("[data-take]"), true]]) {
  button.addEventListener("click", async () => {
    const size = selection.size(scroller.total);
    const done = await chooseCollection(take, size, selection.asRequest(view.toString()));
    if (!done) return;
    showFacets(await get("/api/filters"));
    await change({});
  });
}

// ---- keys

addEventListener("keydown", async (event) => {
  if (event.target.closest("input, select, textarea, dialog")) return;
  const at = Number(event.target.closest?.(".tile")?.dataset.index ?? -1);
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: scroller.columns, ArrowUp: -scroller.columns };
  if (event.key === "a" && (event.ctrlKey || event.metaKey)) selection.selectAll();
  else if (event.key === "Escape") selection.clear();
  else if (at >= 0 && (event.key === "x" || event.key === " ")) await tickAt(at, event.shiftKey);
  else if (at >= 0 && steps[event.key]) {
    const next = Math.min(Math.max(at + steps[event.key], 0), scroller.total - 1);
    event.preventDefault();
    const element = await scroller.reveal(next);
    if (element) $(".frame", element).focus({ preventScroll: true });
    return;
  } else return;
  event.preventDefault();
});

document.addEventListener("store-changed", async () => {
  showFacets(await get("/api/filters"));
  refresh();
});
// Whoever comes back from an image finds the grid where it was left.
const LEFT_AT = "grid left at";
addEventListener("pagehide", () => {
  try { sessionStorage.setItem(LEFT_AT, JSON.stringify([location.href, scrollY])); } catch { /* a private window keeps nothing */ }
});

function whereLeft() {
  const [{ type }] = performance.getEntriesByType("navigation");
  try {
    const [address, top] = JSON.parse(sessionStorage.getItem(LEFT_AT));
    return type !== "navigate" && address === location.href ? top : 0;
  } catch {
    return 0;
  }
}

async function start() {
  showFacets(read("facets"));
  await refresh();
  scrollTo(0, whereLeft());
}

start();
