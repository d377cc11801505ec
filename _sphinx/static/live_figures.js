// The button under a figure: puts the live figure in the picture's place, and back.
// Plotly is loaded when the first figure goes live, and once. See live_figures.py.

const loads = {};

function load(address) {
  loads[address] ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = resolve;
    script.onerror = () => {
      delete loads[address]; // the next click tries again
      script.remove();
      reject(new Error(`${address} could not be loaded`));
    };
    document.head.append(script);
  });
  return loads[address];
}

const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const chosen = document.body.dataset.theme;
  return chosen === "light" || chosen === "dark" ? chosen : prefersDark.matches ? "dark" : "light";
}

async function draw(box, plot, figure) {
  const layout = {
    ...figure.layout,
    template: figure.templates[theme()],
    autosize: true,
    width: undefined,
  };
  const config = { responsive: true, displaylogo: false };
  await Plotly.newPlot(plot, { data: figure.data, layout, frames: figure.frames, config });

  // The modebar is for the mouse; its buttons are links without a target.
  const follow = () => Plotly.relayout(plot, { template: figure.templates[theme()] });
  new MutationObserver(follow).observe(document.body, { attributeFilter: ["data-theme"] });
  prefersDark.addEventListener("change", follow);
}

// The browser's own slider works by keyboard and for screen readers; Plotly's does not.
function slider(plot, figure) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  const value = document.createElement("output");
  Object.assign(input, { type: "range", min: 0, max: figure.steps.length - 1, value: 0 });
  const show = () => {
    const [frame, text] = figure.steps[input.value];
    value.textContent = text;
    input.setAttribute("aria-valuetext", `${figure.stepsLabel} ${text}`.trim());
    const still = { duration: 0, redraw: true };
    return Plotly.animate(plot, [frame], { mode: "immediate", frame: still, transition: still });
  };
  input.addEventListener("input", show);
  label.className = "live-figure-slider";
  label.append(figure.stepsLabel || "step", " ", input, " ", value);
  show();
  return label;
}

for (const box of document.querySelectorAll(".live-figure")) {
  const pictures = box.querySelector(".live-figure-pictures");
  const button = box.querySelector("button");
  const status = box.querySelector("[role=status]");
  let live;

  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-busy")) return;
    if (live) {
      live.hidden = !live.hidden;
    } else {
      button.setAttribute("aria-busy", "true");
      status.textContent = "Loading …";
      try {
        await Promise.all([load(button.dataset.plotly), load(button.dataset.script)]);
        live = document.createElement("div");
        live.className = "live-figure-live";
        live.setAttribute("role", "group");
        live.setAttribute("aria-label", pictures.querySelector("img").alt);
        const plot = document.createElement("div");
        plot.className = "live-figure-plot";
        live.append(plot);
        pictures.after(live);
        const figure = window.liveFigures[box.dataset.figure];
        await draw(box, plot, figure);
        if (figure.steps.length) live.append(slider(plot, figure));
        status.textContent = "";
      } catch (error) {
        live?.remove();
        live = undefined;
        status.textContent = "The live figure could not be loaded, so the picture stays.";
      }
      button.removeAttribute("aria-busy");
      if (!live) return;
    }
    pictures.hidden = !live.hidden;
    button.setAttribute("aria-pressed", String(!live.hidden));
    if (!live.hidden) Plotly.Plots.resize(live.firstChild);
  });
}
