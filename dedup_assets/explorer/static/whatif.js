// What if: two thresholds, and what they would do. The address holds them.
import { get } from "/static/api.js";
import { $, $$, baseName, count, h, imagePage, picture, plural, read, score } from "/static/dom.js";
import { startRun } from "/static/run.js";

const { used, defaults, limit } = read("settings");
const form = $("[data-controls]");
const sliders = Object.fromEntries($$("[data-slider]").map((slider) => [slider.dataset.slider, slider]));
const given = new URLSearchParams(location.search);
const run = $("[data-go]");
const NAMES = ["duplicate", "near"];
const PAUSE_MS = 300;
let now = null; // the thresholds in the fields, or null where they make no sense
let asked = 0;
let typing;

const toPlace = (value) => Math.round(Math.cbrt(Math.min(value / limit, 1)) * 1000);
const toValue = (place) => Number(((place / 1000) ** 3 * limit).toPrecision(2));

// What a field says: a number, NaN where it says none.
function valueOf(name) {
  const text = form.elements[name].value.trim().replace(",", ".");
  return text ? Number(text) : NaN;
}

function write(changes) {
  for (const [name, value] of Object.entries(changes)) form.elements[name].value = String(value);
  return update();
}

// The fields are what counts: address, sliders, figures and the button follow them.
function update() {
  clearTimeout(typing);
  const values = Object.fromEntries(NAMES.map((name) => [name, valueOf(name)]));
  const wrong = faults(values);
  for (const name of NAMES) {
    blame(name, wrong[name]);
    if (values[name] >= 0 && values[name] <= 1) sliders[name].value = toPlace(values[name]);
  }
  now = wrong.duplicate || wrong.near ? null : values;
  const same = NAMES.every((name) => values[name] === used[name]);
  history.replaceState(null, "", same || !now ? location.pathname : `?${new URLSearchParams(now)}`);
  run.disabled = same || !now;
  if (now) return ask();
  asked += 1;
  problem("");
  return blank();
}

// What is wrong with each of them, in words.
function faults({ duplicate, near }) {
  const alone = (value) => (value >= 0 && value <= 1 ? "" : "This must be a number from 0 to 1.");
  const wrong = { duplicate: alone(duplicate), near: alone(near) };
  if (!wrong.duplicate && !wrong.near && near <= duplicate) wrong.near = "This must be larger than the duplicate threshold.";
  return wrong;
}

function blame(name, sentence) {
  form.elements[name].setAttribute("aria-invalid", String(Boolean(sentence)));
  $(`[data-fault=${name}]`).textContent = sentence;
}

async function ask() {
  const ticket = (asked += 1);
  $("[data-outcome]").setAttribute("aria-busy", "true");
  try {
    const found = await get("/api/whatif", new URLSearchParams(now));
    if (ticket === asked) show(found);
  } catch (error) {
    if (ticket !== asked) return;
    problem(error.message);
    blank();
    run.disabled = true;
  }
}

// No figures stand beside thresholds that they do not belong to.
function blank() {
  $("[data-outcome]").removeAttribute("aria-busy");
  for (const part of $$("[data-outcome], [data-count], [data-list]")) part.replaceChildren();
}

function show(found) {
  problem(found.problem);
  $("[data-outcome]").removeAttribute("aria-busy");
  const by = found.removed - found.nowRemoved;
  const figures = [
    ["Removed", found.removed, by ? `${by > 0 ? "+" : "−"}${count(Math.abs(by))} against now` : "as now"],
    ["Kept", found.kept, ""],
    ["Near duplicates", found.near, `in ${plural(found.groups, "group")}`],
    ["Pairs to decide", found.waiting, ""],
  ];
  $("[data-outcome]").replaceChildren(...figures.map(([name, value, note]) => h("div", {}, h("dt", {}, name), h("dd", {}, count(value)), h("dd", { class: "change" }, note))));
  for (const name of ["leave", "comeBack"]) {
    const { total, shown } = found[name];
    $(`[data-count=${name}]`).textContent = count(total) + (total > shown.length ? `, the farthest ${shown.length} shown` : "");
    $(`[data-list=${name}]`).replaceChildren(...(shown.length ? shown.map(pair) : [h("li", { class: "muted" }, "nobody")]));
  }
}

function pair({ image, keeper, distance }) {
  return h("li", {}, h("a", { class: "pair", href: imagePage(image.id), title: image.id },
    h("div", { class: "pair-pictures" }, picture(keeper ?? { status: "discarded" }, 320, { loading: "lazy" }), picture(image, 320, { loading: "lazy" })),
    h("span", { class: "name" }, baseName(image.id)),
    h("span", { class: "muted numbers" }, distance === null ? "" : `distance ${score(distance)}`)));
}

function problem(sentence) {
  $("[data-problem]").textContent = sentence ?? "";
  $("[data-problem]").hidden = !sentence;
}

for (const name of NAMES) {
  sliders[name].addEventListener("input", () => write({ [name]: toValue(sliders[name].value) }));
  form.elements[name].addEventListener("change", update);
  form.elements[name].addEventListener("input", () => {
    run.disabled = true;
    clearTimeout(typing);
    typing = setTimeout(update, PAUSE_MS);
  });
}
for (const button of $$("[data-set]")) button.addEventListener("click", () => write(button.dataset.set === "used" ? used : defaults));
run.addEventListener("click", () => startRun(now));
form.addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("store-changed", () => location.reload());
write(Object.fromEntries(NAMES.map((name) => [name, given.get(name) ?? used[name]])));
