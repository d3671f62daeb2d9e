"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function themed(layout) {
    const out = structuredClone(layout);
    out.font = { color: css("--text"), family: "system-ui, sans-serif", size: 13 };
    for (const name of Object.keys(out).filter((key) => /^[xy]axis\d*$/.test(key))) {
      Object.assign(out[name], {
        gridcolor: css("--grid"), linecolor: css("--line"), zerolinecolor: css("--line"),
        automargin: true,
      });
    }
    out.modebar = { ...out.modebar, color: css("--line"), activecolor: css("--dim") };
    out.hoverlabel = { bgcolor: css("--raised"), font: { color: css("--text") } };
    for (const menu of out.updatemenus || []) {
      Object.assign(menu, {
        bgcolor: css("--raised"), bordercolor: css("--line"), font: { color: css("--text") },
      });
    }
    return out;
  }

  function draw() {
    for (const [name, figure] of Object.entries(figures)) {
      const place = document.getElementById(`plot-${name}`);
      const remove = ["select2d", "lasso2d", "autoScale2d"];
      const options = { responsive: true, displaylogo: false, modeBarButtonsToRemove: remove };
      Plotly.react(place, figure.data, themed(figure.layout), options);
    }
  }

  draw();
  dark.addEventListener("change", draw);
})();
