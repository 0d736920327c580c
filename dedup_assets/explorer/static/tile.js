// One image in the grid.
import { baseName, h, imagePage, picture, score } from "/static/dom.js";

const LABELS = { duplicate: "Duplicate", near: "Near duplicate", unique: "", unreadable: "Unreadable" };
const SAID = { keep: "keep", remove: "remove", discard: "discard", not_duplicate: "not a duplicate" };

export function tileOf(image, { index, chosen, grouped, linked, ontick }) {
  const name = baseName(image.id);
  const classes = ["tile", chosen && "chosen", grouped && "grouped", linked && "linked"];
  return h("div", { class: classes.filter(Boolean).join(" "), role: "listitem", "data-index": String(index) },
    h("a", { class: "frame", href: imagePage(image.id), title: image.id, "aria-label": `${image.id}, uniqueness ${score(image.score)} ${LABELS[image.label]}` },
      picture(image, 320, { loading: "eager" })),
    tick(chosen, name, ontick),
    image.word ? h("span", { class: "chip decided flag" }, SAID[image.word]) : null,
    h("div", { class: "meta" },
      h("div", { class: "line" },
        h("span", { class: "value" }, score(image.score)),
        LABELS[image.label] ? h("span", { class: `chip ${image.label}` }, LABELS[image.label]) : null),
      h("span", { class: "name", title: image.id }, name),
      partner(image)),
  );
}

function tick(chosen, name, ontick) {
  const button = h("button", { type: "button", class: "tick", role: "checkbox", "aria-checked": String(chosen), "aria-label": `Select ${name}`, onclick: ontick });
  button.innerHTML = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M3 8.5l3.2 3.2L13 5" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round"/></svg>';
  return button;
}

function partner(image) {
  if (!image.partner || image.label === "unique") return null;
  const what = image.label === "duplicate" ? "keeper" : "near";
  return h("a", { class: "partner", href: imagePage(image.partner.id), title: image.partner.id }, `${what}: ${baseName(image.partner.id)}`);
}
