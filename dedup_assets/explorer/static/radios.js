// Buttons of which one is chosen: one stop of the Tab key, and the arrow keys choose another.

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

// `choose(button)` follows what a person chooses. Gives the function that shows one as chosen.
export function radios(buttons, choose) {
  for (const [at, button] of buttons.entries()) {
    button.addEventListener("click", () => choose(button));
    button.addEventListener("keydown", (event) => {
      const step = event.ctrlKey || event.metaKey || event.altKey || event.shiftKey ? 0 : STEPS[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      const next = buttons[(at + step + buttons.length) % buttons.length];
      next.focus();
      choose(next);
    });
  }
  return (chosen) => {
    for (const button of buttons) Object.assign(button, { ariaChecked: String(button === chosen), tabIndex: button === chosen ? 0 : -1 });
  };
}
