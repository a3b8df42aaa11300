/** What specs ask of a page. Runs in the page: accessibility.e2e.ts puts it there. */
globalThis.hansetagChecks = {
  /** Two frames on, layout and colours are what they shall be. */
  settled: () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(true)))),

  /** What stands beyond the edges, or would have to be scrolled to sideways. */
  beyond() {
    const { clientWidth, scrollWidth } = document.documentElement;
    const found = [...document.querySelectorAll('button, a, input, textarea, h1, h2, p')].filter((element) => {
      const { left, right, width } = element.getBoundingClientRect();
      return width > 1 && (right > clientWidth + 1 || left < -1) && element.checkVisibility();
    });
    return [
      ...(scrollWidth > clientWidth ? [`the page is ${scrollWidth} px wide`] : []),
      ...found.map((element) => element.outerHTML.slice(0, 160)),
    ];
  },

  /** The element with the focus, the width of its ring in px, and whether it is in view; null when nothing has it. */
  focus() {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    // Fields of Material are marked by their frame.
    const frame = element.closest('.mdc-text-field--focused, .mat-focused')?.querySelector('.mdc-notched-outline > *');
    const { width, height, top, bottom } = element.getBoundingClientRect();
    return {
      name: element.dataset.testid ?? element.getAttribute('name') ?? element.tagName.toLowerCase(),
      ring: Math.max(
        outlineStyle === 'none' ? 0 : parseFloat(outlineWidth),
        frame ? parseFloat(getComputedStyle(frame).borderTopWidth) : 0,
      ),
      inView: width > 0 && height > 0 && bottom > 0 && top < innerHeight,
    };
  },

  /** How many elements would move. */
  moving: () =>
    [...document.querySelectorAll('*')].filter((element) => {
      const { animationDuration, transitionDuration } = getComputedStyle(element);
      return [animationDuration, transitionDuration].some((value) => parseFloat(value) > 0);
    }).length,

  border: (id) => getComputedStyle(document.querySelector(`[data-testid=${id}]`)).borderTopWidth,
};
