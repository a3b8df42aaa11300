import { LiveAnnouncer } from '@angular/cdk/a11y';
import { TestBed } from '@angular/core/testing';
import type { ModerationAction } from '../../../../../protocol/modules/moderation.ts';
import { moderationActionSchema } from '../../../../../protocol/modules/moderation.ts';
import { snapshotOf } from '../../conference/snapshot-for-specs.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { ToldOrders } from './told-orders.ts';

describe('Moderation: what others have done to others', () => {
  let said: jasmine.Spy;
  let orders: ToldOrders;

  beforeEach(() => {
    jasmine.clock().install().mockDate();
    spyOn(performance, 'now').and.callFake(() => Date.now());
    said = spyOn(TestBed.inject(LiveAnnouncer), 'announce').and.resolveTo();
    TestBed.inject(ConferenceStore).load(snapshotOf());
    orders = TestBed.runInInjectionContext(() => new ToldOrders());
  });
  afterEach(() => jasmine.clock().uninstall());

  const tell = (action: ModerationAction, whom: string[], count = whom.length, displayName?: string): void =>
    orders.told({
      action,
      by: 'Clara',
      organisation: 'hamburg.example',
      whom,
      count,
      ...(displayName === undefined ? {} : { displayName }),
    });
  const heard = (): string[] => {
    jasmine.clock().tick(10_000);
    return said.calls.allArgs().map(([text]) => String(text).replace(/[\u2068\u2069]/g, ''));
  };

  it('is said, by whom and to whom', () => {
    tell('mute', ['Anna', 'Olaf'], 7);
    tell('rename', ['Gast'], 1, 'Frau Petersen');
    expect(heard()).toEqual([
      'Clara (Hamburg) has muted Anna, Olaf and 5 more. Clara (Hamburg) has given Gast the name Frau Petersen.',
    ]);
  });

  it('has a sentence for each action', () => {
    const sentences = moderationActionSchema.options.map((action) => {
      said.calls.reset();
      tell(action, ['Anna']);
      return heard()[0] ?? '';
    });
    expect(new Set(sentences).size).toBe(moderationActionSchema.options.length);
    for (const sentence of sentences) expect(sentence).toMatch(/^Clara \(Hamburg\) has .*Anna.*\.$/);
  });

  it('is counted where much happens at once', () => {
    for (const name of ['Anna', 'Olaf', 'Ute', 'Jan']) tell('remove', [name]);
    expect(heard()).toEqual(['Those who lead the meeting have done 4 things about 4 people.']);
  });

  it('is not said after the meeting', () => {
    tell('ban', ['Anna']);
    orders.forget();
    expect(heard().filter((text) => text !== '')).toEqual([]);
  });
});
