import type { IconPath } from '../../conference/meeting-module.ts';

export const ICONS = {
  screenOff: 'M3.5 5h17v11h-17zM8.5 20h7M12 16v4M9.8 8.3l4.4 4.4M14.2 8.3l-4.4 4.4',
  pencil: 'M4 20l1-4.2L15.8 5 19 8.2 8.2 19zM13.6 7.2l3.2 3.2',
  shield: 'M12 3.5l7 2.5v5.5c0 4.3-2.8 7.4-7 9-4.2-1.6-7-4.7-7-9V6zM9 12l2.2 2.2 4-4.2',
  shieldOff: 'M12 3.5l7 2.5v5.5c0 4.3-2.8 7.4-7 9-4.2-1.6-7-4.7-7-9V6zM9 12h6',
  star: 'M12 4l2.5 5 5.5.8-4 3.9.9 5.5-4.9-2.6-4.9 2.6.9-5.5-4-3.9 5.5-.8z',
  hourglass: 'M6.5 4h11M6.5 20h11M8 4c0 4.5 8 5 8 8s-8 3.5-8 8M16 4c0 4.5-8 5-8 8s8 3.5 8 8',
  personMinus: 'M10 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM3.5 20c.5-3.7 3-5.7 6.5-5.7s6 2 6.5 5.7M15.5 11h6',
  ban: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17ZM6 6l12 12',
} as const satisfies Record<string, IconPath>;
