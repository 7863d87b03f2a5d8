/* global uPlot */
/* Draws the charts of a page by uPlot, in the colours of the page, and again when its width or its colours change. */
(() => {
  const charts = JSON.parse(document.getElementById('charts').textContent);
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const short = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 2 });
  const formatted = (_, ticks) => ticks.map((tick) => (tick === null ? '' : short.format(tick)));

  function draw(place, chart) {
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    const colours = [colour('first'), colour('second'), colour('third')];
    const right = chart.series.some((one) => one.right);
    const axis = (more) => ({
      stroke: colour('quiet'),
      grid: { stroke: colour('line'), width: 1 },
      ticks: { stroke: colour('line') },
      values: formatted,
      font: '12px system-ui, sans-serif',
      labelFont: '12px system-ui, sans-serif',
      ...more,
    });
    const nameOf = (side) =>
      chart.series
        .filter((one) => Boolean(one.right) === side)
        .map((one) => one.name)
        .join(', ');
    // The outermost bars are as wide as the others: half of one lies outside of the values on each side.
    const [first, last] = [chart.x[0], chart.x[chart.x.length - 1]];
    const margin = chart.x.length > 1 ? (chart.x[1] - first) / 2 : 0.5;
    const aroundBars = chart.log === 'x' ? [first * Math.SQRT1_2, last * Math.SQRT2] : [first - margin, last + margin];
    const scales = {
      x: {
        time: false,
        ...(chart.log === 'x' && { distr: 3, log: 2 }),
        ...(chart.kind === 'bars' && { range: () => aroundBars }),
      },
      y: {
        distr: chart.log === 'y' ? 3 : 1,
        ...(chart.kind === 'bars' && chart.log !== 'y' && { range: (_, __, high) => [0, high * 1.05 || 1] }),
      },
    };
    const tickWidth = 44;
    const everySo = Math.ceil((chart.x.length * tickWidth) / place.clientWidth);
    const binsWithRoom = () => chart.x.filter((_, i) => i % everySo === 0);
    const mark = {
      draw: (plot) => {
        if (!chart.mark) return;
        const x = Math.round(plot.valToPos(chart.mark.x, 'x', true));
        const { ctx, bbox } = plot;
        ctx.save();
        ctx.strokeStyle = ctx.fillStyle = colour('text');
        ctx.lineWidth = devicePixelRatio;
        ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
        ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
        const left = x > bbox.left + bbox.width / 2;
        ctx.textAlign = left ? 'right' : 'left';
        const gap = 6 * devicePixelRatio;
        const room = (left ? x - bbox.left : bbox.left + bbox.width - x) - gap;
        const fits = ctx.measureText(chart.mark.name).width <= room;
        (fits ? [chart.mark.name] : chart.mark.name.split(', ')).forEach((text, line) => {
          ctx.fillText(text, x + (left ? -gap : gap), bbox.top + 14 * (line + 1) * devicePixelRatio);
        });
        ctx.restore();
      },
    };
    const options = {
      width: place.clientWidth,
      height: 240,
      scales,
      legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      axes: [
        axis({
          label: chart.xTitle,
          ...(chart.log === 'x' && { splits: binsWithRoom, filter: (_, ticks) => ticks }),
        }),
        axis({ label: nameOf(false), size: 60 }),
        ...(right ? [axis({ label: nameOf(true), scale: 'right', side: 1, size: 60, grid: { show: false } })] : []),
      ],
      series: [
        {},
        ...chart.series.map((one, i) => ({
          label: one.name,
          scale: one.right ? 'right' : 'y',
          stroke: colours[i],
          width: 2,
          points: { show: false },
          ...(chart.kind === 'bars' && { fill: colours[i], paths: uPlot.paths.bars({ size: [0.9, 60] }) }),
        })),
      ],
      hooks: { draw: [mark.draw] },
    };
    place.replaceChildren();
    new uPlot(options, [chart.x, ...chart.series.map((one) => one.values)], place);
    if (chart.series.length < 2) return;
    const legend = document.createElement('div');
    legend.className = 'legend';
    chart.series.forEach((one, i) => {
      const entry = document.createElement('span');
      const sample = document.createElement('i');
      sample.style.background = colours[i];
      entry.append(sample, one.name);
      legend.append(entry);
    });
    place.append(legend);
  }

  const places = [...document.querySelectorAll('[data-chart]')];
  const drawAll = () => {
    for (const place of places) draw(place, charts[Number(place.dataset.chart)]);
  };
  let width = innerWidth;
  addEventListener('resize', () => {
    if (innerWidth === width) return;
    width = innerWidth;
    drawAll();
  });
  dark.addEventListener('change', drawAll);
  drawAll();
})();
