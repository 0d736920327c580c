// What every page has: the theme, the reviewer's name, broken pictures, and the run.
import { Refused, Unanswered } from "/static/api.js";
import { $, $$, cannotShow, say } from "/static/dom.js";
import { watchRun } from "/static/run.js";

const remembered = (key) => {
  try { return localStorage.getItem(key); } catch { return null; }
};
const remember = (key, value) => {
  try { localStorage.setItem(key, value); } catch { /* a private window keeps nothing */ }
};

export const reviewer = () => $("[data-reviewer]").value.trim();

const name = $("[data-reviewer]");
name.value = remembered("reviewer") || $("meta[name=dedup-user]").content;
name.addEventListener("change", () => remember("reviewer", name.value.trim()));

$("[data-theme-toggle]").addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  remember("theme", theme);
});

// What keeps every decision from being written, for as long as it does.
export function lasting(sentence) {
  $("[data-banner]").textContent = sentence ?? "";
  $("[data-banner]").hidden = !sentence;
}

const broken = (img) => img.replaceWith(cannotShow("cannot be shown", img.alt));
for (const img of $$("img[data-fallible]")) {
  if (img.complete && !img.naturalWidth) broken(img);
  else img.addEventListener("error", () => broken(img), { once: true });
}

// What the server said, or failed to say, where no part of the page expected it.
addEventListener("unhandledrejection", (event) => {
  if (!(event.reason instanceof Refused || event.reason instanceof Unanswered)) return;
  event.preventDefault();
  say(event.reason.message, true);
});

watchRun();
