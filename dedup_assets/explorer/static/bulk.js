// "Accept the suggestion for all groups under a distance": what it would do first, then doing it.
import { get, post } from "/static/api.js";
import { $, count, h, picture, plural, say, score } from "/static/dom.js";
import { reviewer } from "/static/shell.js";

const DEFAULT = 0.005;

export function openBulk(done) {
  const dialog = $("[data-bulk-dialog]");
  const field = h("input", { type: "text", inputMode: "decimal", value: String(DEFAULT), "aria-label": "Distance" });
  const slider = h("input", { type: "range", min: 0, max: 1000, "aria-label": "Distance", value: toPlace(DEFAULT) });
  const summary = h("p", { class: "lead", role: "status" }, "…");
  const examples = h("ul", { class: "bulk-examples", "aria-label": "The farthest of them" });
  const accept = h("button", { type: "button", class: "primary", disabled: true }, "Accept");
  let plan = null;
  let asked = 0;

  async function preview(distance) {
    const ticket = (asked += 1);
    accept.disabled = true;
    const found = await get("/api/review/suggestions", new URLSearchParams({ distance }));
    if (ticket !== asked) return;
    plan = { distance, seen: found.seen };
    summary.textContent = `${plural(found.groups, "group")} nobody has touched: ${plural(found.removes, "image")} removed, each for the suggested keeper.`;
    accept.textContent = `Remove ${count(found.removes)}`;
    accept.disabled = !found.removes;
    examples.replaceChildren(...found.examples.map((one) => h("li", { title: `${one.image.id} for ${one.keeper.id}` },
      h("div", { class: "two" }, picture(one.keeper, 320, { loading: "lazy" }), picture(one.image, 320, { loading: "lazy" })),
      h("span", { class: "muted numbers" }, score(one.distance)))));
  }

  function nothing() {
    asked += 1;
    summary.textContent = "A distance is a number from 0 to 1.";
    accept.textContent = "Accept";
    accept.disabled = true;
    examples.replaceChildren();
  }

  slider.addEventListener("input", () => {
    field.value = String(toDistance(slider.value));
    preview(toDistance(slider.value));
  });
  field.addEventListener("change", () => {
    const distance = Number(field.value.replace(",", "."));
    if (!field.value.trim() || !(distance >= 0 && distance <= 1)) return nothing();
    slider.value = toPlace(distance);
    return preview(distance);
  });
  accept.addEventListener("click", async () => {
    accept.disabled = true;
    try {
      const result = await post("/api/review/accept", { ...plan, reviewer: reviewer() });
      dialog.close();
      say(`${plural(result.removed, "image")} decided to be removed; u undoes it.`);
      done();
    } catch (error) {
      say(error.message, true);
      preview(plan.distance);
    }
  });
  dialog.className = "broad";
  dialog.replaceChildren(
    h("h2", { id: "bulk-title" }, "Accept the suggestion for all groups within a distance"),
    h("div", { class: "bulk-line" }, slider, field), summary,
    h("p", { class: "muted small" }, "The farthest ones are shown first; the keeper is on the left."), examples,
    h("div", { class: "dialog-end" }, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), accept));
  dialog.showModal();
  preview(DEFAULT);
}

// The slider goes from 0 to 0.1, stretched near zero.
const toPlace = (distance) => Math.round(Math.cbrt(Math.min(distance, 0.1) / 0.1) * 1000);
const toDistance = (place) => Number(((place / 1000) ** 3 * 0.1).toPrecision(2));
