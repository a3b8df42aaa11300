/** Our own line icons, inline: no font and no foreign host. Decoration only; names stand in text or aria-label. */
import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

export const PATHS = {
  mic: 'M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3ZM5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3',
  'mic-off':
    'M9 5.2A3 3 0 0 1 15 6v5m-.9 3.1A3 3 0 0 1 9 12V9.5M5.5 11.5a6.5 6.5 0 0 0 10.7 5M18.5 11.5a6.4 6.4 0 0 1-.5 2.5M12 18v3M4 4l16 16',
  camera:
    'M4 7h10a1.5 1.5 0 0 1 1.5 1.5v7A1.5 1.5 0 0 1 14 17H4a1.5 1.5 0 0 1-1.5-1.5v-7A1.5 1.5 0 0 1 4 7ZM15.5 11l6-3.5v9l-6-3.5',
  'camera-off':
    'M9.5 7H14a1.5 1.5 0 0 1 1.5 1.5v4M15.5 11l6-3.5v9l-3-1.8M15.4 16.2A1.5 1.5 0 0 1 14 17H4a1.5 1.5 0 0 1-1.5-1.5v-7A1.5 1.5 0 0 1 4 7h1.8M4 4l16 16',
  screen: 'M3.5 5h17v11h-17zM8.5 20h7M12 16v4M12 13V8m-2.5 2.2L12 8l2.5 2.2',
  people:
    'M9 11a3.2 3.2 0 1 0 0-6.4A3.2 3.2 0 0 0 9 11ZM3 19c.4-3.3 2.7-5 6-5s5.6 1.7 6 5M15.5 4.9a3.1 3.1 0 0 1 0 5.9M17.5 14.3c2 .6 3.2 2.2 3.5 4.7',
  link: 'M4 17.5h2.5M17.5 17.5H20M6.5 20V9.5L9 6l2.5 3.5V20M12.5 20V9.5L15 6l2.5 3.5V20',
  chain: 'M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 1 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 1 0 11 18.7l1-1',
  leave: 'M3 14.5c5.5-5 12.5-5 18 0l-2.2 2.7-3.8-1.5v-2.9c-2-.7-4-.7-6 0v2.9l-3.8 1.5z',
  plus: 'M12 5v14M5 12h14',
  clock: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17ZM12 7v5.2l3.4 2',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  close: 'M6 6l12 12M18 6L6 18',
  copy: 'M8.5 8.5h10v11h-10zM15.5 8.5v-4h-10v11h3',
  send: 'M4 12l16-7-5 15-3.5-6zM20 5l-8.5 9',
  calendar: 'M4 6.5h16v13H4zM4 10.5h16M8 4v4M16 4v4',
  person: 'M12 11.5a3.7 3.7 0 1 0 0-7.4 3.7 3.7 0 0 0 0 7.4ZM4.5 20c.6-3.9 3.4-6 7.5-6s6.9 2.1 7.5 6',
  'person-plus':
    'M10 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM3.5 20c.5-3.7 3-5.7 6.5-5.7s6 2 6.5 5.7M18.5 8v6M15.5 11h6',
  keyboard: 'M3 6.5h18v11H3zM6.5 10h.1M10.1 10h.1M13.8 10h.1M17.4 10h.1M8 14h8',
  settings:
    'M4 7h9M17 7h3M4 17h3M11 17h9M15 9.3a2.3 2.3 0 1 0 0-4.6 2.3 2.3 0 0 0 0 4.6ZM9 19.3a2.3 2.3 0 1 0 0-4.6 2.3 2.3 0 0 0 0 4.6Z',
  logout: 'M10 4.5H5v15h5M9.5 12H20M16.5 8.5L20 12l-3.5 3.5',
  warning: 'M12 4l9 16H3zM12 10v4.5M12 17.2v.3',
  weak: 'M5 19v-3M10 19v-6M15 19v-9M20 19V7',
  more: 'M12 6.2a.7.7 0 1 0 0-1.4.7.7 0 0 0 0 1.4ZM12 12.7a.7.7 0 1 0 0-1.4.7.7 0 0 0 0 1.4ZM12 19.2a.7.7 0 1 0 0-1.4.7.7 0 0 0 0 1.4Z',
  back: 'M14.5 5.5L8 12l6.5 6.5',
} as const;
export type IconName = keyof typeof PATHS;

@Component({
  selector: 'ht-icon',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<svg viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path [attr.d]="path()" /></svg>`,
  styles: `
    :host {
      display: inline-flex;
      flex: none;
      width: 1.5em;
      height: 1.5em;
    }
    svg {
      width: 100%;
      height: 100%;
    }
    path {
      fill: none;
      stroke: currentColor;
      stroke-width: 1.8;
      stroke-linecap: round;
      stroke-linejoin: round;
    }
  `,
})
export class Icon {
  readonly name = input<IconName>();
  /** An icon of somebody else's: a path of 24 by 24. */
  readonly drawing = input<string>();
  protected readonly path = computed(() => {
    const name = this.name();
    return name === undefined ? this.drawing() : PATHS[name];
  });
}
