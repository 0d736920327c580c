// Runs before the page is drawn, so that it never flashes in the wrong colours.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try { return localStorage.getItem("theme"); } catch { return null; }
  };
  const show = () => { document.documentElement.dataset.theme = chosen() ?? (system.matches ? "dark" : "light"); };
  system.addEventListener("change", show);
  show();
})();
