import { LiveAnnouncer } from '@angular/cdk/a11y';
import { TestBed } from '@angular/core/testing';
import { Subject } from 'rxjs';
import { ConferenceClient, type ConferenceEvent } from '../../conference/conference-client.ts';
import { PeopleAnnouncements } from './people-announcements.ts';

describe('Accessibility: announcements of who comes and goes', () => {
  const events = new Subject<ConferenceEvent>();
  let said: jasmine.Spy;

  beforeEach(() => {
    jasmine.clock().install().mockDate();
    spyOn(performance, 'now').and.callFake(() => Date.now());
    TestBed.configureTestingModule({
      providers: [PeopleAnnouncements, { provide: ConferenceClient, useValue: { events } }],
    });
    said = spyOn(TestBed.inject(LiveAnnouncer), 'announce').and.resolveTo();
    TestBed.inject(PeopleAnnouncements);
  });
  afterEach(() => jasmine.clock().uninstall());

  it('name a guest as such, and keep names from turning the direction of the sentence', () => {
    events.next({ kind: 'joined', person: { displayName: 'Bert Brandt', guest: true } });
    events.next({ kind: 'left', person: { displayName: 'שלום', guest: false } });
    jasmine.clock().tick(1_500);
    expect(said.calls.allArgs()).toEqual([
      ['\u2068Bert Brandt\u2069 (guest) has joined. \u2068שלום\u2069 has left.', 'polite'],
    ]);
  });

  it('count where many come at once', () => {
    for (let count = 0; count < 40; count += 1) {
      events.next({ kind: 'joined', person: { displayName: `Person ${String(count)}`, guest: false } });
    }
    jasmine.clock().tick(1_500);
    expect(said.calls.allArgs()).toEqual([['40 people came or left.', 'polite']]);
  });
});
