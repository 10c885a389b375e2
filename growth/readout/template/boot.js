(() => {
  "use strict";
  const held = document.querySelectorAll("script[type='application/json'][data-chart]");
  for (const script of held) {
    const drawing = script.previousElementSibling;
    const place = document.createElement("div");
    place.className = "vega";
    const options = { actions: false, defaultStyle: false, mode: "vega-lite", renderer: "svg" };
    const failed = () => { place.remove(); script.remove(); };
    try {
      window.vegaEmbed(place, JSON.parse(script.textContent), options).then(() => {
        const drawn = place.querySelector("svg path, svg text");
        if (drawn === null) { failed(); return; }
        drawing.replaceWith(place);
        document.documentElement.dataset.live = String(
          Number(document.documentElement.dataset.live || 0) + 1);
      }, failed);
    } catch (error) { failed(); }
  }
})();
