import { TestBed } from '@angular/core/testing';
import { ApiError } from '../../core/api-error.ts';
import { errorText } from '../../core/error-text.ts';
import { untrustedReason } from '../../core/untrusted-text.ts';
import { snapshotOf } from '../../conference/snapshot-for-specs.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { SessionError } from '../../session/session-error.ts';
import { fromResult } from '../../shared/invitation.ts';
import { invitationText } from '../../shared/invitation-text.ts';
import { failedText } from './ended-text.ts';
import { UntrustedOrganisationSection } from './untrusted-organisation.ts';

const KIEL = { serverName: 'kiel.example', displayName: 'Kiel', colour: '#1c4f9c' };
const UNTRUSTED = {
  organisation: 'kiel.example',
  reason: 'revoked',
  people: [{ userId: '@greta:kiel.example', displayName: 'Greta' }],
  count: 3,
};

describe('Trust by certificate: an organisation that is not trusted', () => {
  it('stands in the people list as not connected, with the reason and its people', async () => {
    const store = TestBed.inject(ConferenceStore);
    store.load(snapshotOf({ organisations: [KIEL], untrusted: [UNTRUSTED] }));
    const fixture = TestBed.createComponent(UntrustedOrganisationSection);
    fixture.componentRef.setInput('untrusted', store.untrusted()[0]);
    await fixture.whenStable();
    const root = fixture.nativeElement as HTMLElement;
    const section = root.querySelector('section');
    expect(section?.getAttribute('aria-label')).toBe('Kiel');
    expect(root.querySelector('h3')?.textContent).toMatch(/Kiel\s*not connected/);
    expect(root.textContent).toContain('kiel.example');
    expect(root.textContent).toContain('The certificate of this organisation was revoked.');
    expect([...root.querySelectorAll('li')].map((item) => item.textContent.trim())).toEqual(['Greta', 'and 2 more']);
  });

  it('is forgotten when it is trusted again, and with the conference', () => {
    const store = TestBed.inject(ConferenceStore);
    store.load(snapshotOf({ untrusted: [UNTRUSTED] }));
    store.apply('organisations.untrusted', { organisations: [] });
    expect(store.untrusted()).toEqual([]);
    store.apply('organisations.untrusted', { organisations: [UNTRUSTED] });
    store.clear();
    expect(store.untrusted()).toEqual([]);
  });

  it('is named in what could not be done because of it, with the reason and what to do', () => {
    const details = { organisation: 'kiel.example', organisationName: 'Kiel', untrusted: 'expired' };
    const sentence =
      'Your organisation is not connected to \u2068Kiel\u2069. The certificate of this organisation has expired. Tell the help desk.';
    expect(errorText(new ApiError(403, 'M_FORBIDDEN', 'no', details))).toBe(sentence);
    const result = { userId: '@greta:kiel.example', outcome: 'untrusted' as const, ok: false, reason: 'expired' };
    expect(
      invitationText(fromResult({ ...result, organisation: 'kiel.example', organisationName: 'Kiel' }), String),
    ).toBe(`is not invited. ${sentence}`);
    const failure = new SessionError('organisation-untrusted', 'no', {
      organisation: 'kiel.example',
      reason: 'expired',
    });
    expect(failedText(failure).text).toBe(sentence.replace('Kiel', 'kiel.example'));
  });

  it('has a sentence for a reason that this page does not know', () => {
    expect(untrustedReason('of-tomorrow')).toBe(
      'Your organisation does not accept the certificate of this organisation.',
    );
    expect(untrustedReason(undefined)).toBe(untrustedReason('of-tomorrow'));
  });
});
