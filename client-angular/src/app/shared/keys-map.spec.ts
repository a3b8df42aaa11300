import { TestBed } from '@angular/core/testing';
import { MatDialog } from '@angular/material/dialog';
import { Keys } from '../core/keys.ts';
import { KeysMap } from './keys-map.ts';

describe('Hotkeys: the map of the keys', () => {
  afterEach(() => TestBed.inject(MatDialog).closeAll());

  function press(key: string): void {
    document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
  }

  it('is shown on "?", and keys are silent behind it', async () => {
    const pressed: string[] = [];
    TestBed.inject(KeysMap);
    const stop = TestBed.inject(Keys).listen({ m: () => pressed.push('m') });
    press('?');
    const dialog = TestBed.inject(MatDialog);
    while (dialog.openDialogs.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    press('?');
    press('m');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(dialog.openDialogs.length).toBe(1);
    expect(document.querySelector('[data-testid=key-map]')?.textContent).toContain('Microphone on or off');
    expect(pressed).toEqual([]);
    stop();
  });
});
