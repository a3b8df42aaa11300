import { TestBed } from '@angular/core/testing';
import { Keys } from './keys.ts';

describe('Hotkeys: the single keys', () => {
  let pressed: string[];
  let keys: Keys;
  let stop: () => void;

  beforeEach(() => {
    localStorage.removeItem('hansetag-keys');
    pressed = [];
    keys = TestBed.inject(Keys);
    stop = keys.listen({ m: () => pressed.push('m') });
  });

  afterEach(() => {
    stop();
    localStorage.removeItem('hansetag-keys');
  });

  function press(key: string, on: Element = document.body, more: KeyboardEventInit = {}): KeyboardEvent {
    const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more });
    on.dispatchEvent(event);
    return event;
  }

  it('act in either case, and no longer than they are listened to', () => {
    expect(press('m').defaultPrevented).toBeTrue();
    press('M', document.body, { shiftKey: true });
    press('x');
    press('constructor');
    expect(pressed).toEqual(['m', 'm']);
    stop();
    press('m');
    expect(pressed.length).toBe(2);
  });

  it('leave keys of the browser alone, and keys that are held down', () => {
    for (const more of [{ ctrlKey: true }, { metaKey: true }, { altKey: true }, { repeat: true }]) {
      press('m', document.body, more);
    }
    expect(pressed).toEqual([]);
  });

  it('are silent while somebody types', () => {
    for (const name of ['input', 'textarea', 'select']) {
      const field = document.body.appendChild(document.createElement(name));
      press('m', field);
      field.remove();
    }
    expect(pressed).toEqual([]);
  });

  it('can be switched off, which is remembered', () => {
    keys.enabled.set(false);
    TestBed.tick();
    press('m');
    expect(pressed).toEqual([]);
    expect(localStorage.getItem('hansetag-keys')).toBe('off');
  });
});
