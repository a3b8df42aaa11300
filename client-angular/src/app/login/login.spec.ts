import { provideRouter, Router } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import { TestBed } from '@angular/core/testing';
import { withComponentInputBinding } from '@angular/router';
import { Auth } from '../core/auth.ts';
import { Login } from './login.ts';

describe('The log-in page', () => {
  let exchanged: string[];

  beforeEach(() => {
    localStorage.removeItem('hansetag-session');
    sessionStorage.clear();
    exchanged = [];
    spyOn(globalThis, 'fetch').and.callFake((input) => {
      if (String(input).endsWith('/login')) {
        exchanged.push(String(input));
        return Promise.resolve(Response.json({ user_id: '@bert:x.example', access_token: 'a', device_id: 'D' }));
      }
      return Promise.resolve(Response.json({ errcode: 'M_UNKNOWN', error: 'away' }, { status: 503 }));
    });
    TestBed.configureTestingModule({
      providers: [
        provideRouter(
          [
            { path: 'login', component: Login },
            { path: '**', component: Login },
          ],
          withComponentInputBinding(),
        ),
      ],
    });
  });
  afterEach(() => {
    localStorage.removeItem('hansetag-session');
    sessionStorage.clear();
  });

  it('does not use a token of a log-in that was not started here, and says so', async () => {
    const harness = await RouterTestingHarness.create('/login?loginToken=of-an-attacker&attempt=guessed');
    await harness.fixture.whenStable();
    expect(exchanged).toEqual([]);
    expect(TestBed.inject(Auth).loggedIn()).toBeFalse();
    expect(harness.routeNativeElement?.textContent).toContain('was not started in this window');
    expect(TestBed.inject(Router).url).toBe('/login');
  });

  it('uses the token of the log-in that this tab has started', async () => {
    const attempt = new URL(TestBed.inject(Auth).loginReturn()).searchParams.get('attempt') ?? '';
    const harness = await RouterTestingHarness.create(`/login?loginToken=mine&attempt=${attempt}`);
    await harness.fixture.whenStable();
    expect(exchanged.length).toBe(1);
    expect(TestBed.inject(Auth).userId()).toBe('@bert:x.example');
  });
});
