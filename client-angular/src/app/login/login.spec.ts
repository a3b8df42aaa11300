import { TestBed } from '@angular/core/testing';
import { provideRouter, Router } from '@angular/router';
import { Auth } from '../core/auth.ts';
import { Login } from './login.ts';

describe('The log-in page', () => {
  let exchanged: number;
  let visited: unknown[];

  beforeEach(() => {
    localStorage.removeItem('hansetag-session');
    sessionStorage.clear();
    exchanged = 0;
    visited = [];
    spyOn(globalThis, 'fetch').and.callFake((input) => {
      if (!String(input).endsWith('/login'))
        return Promise.resolve(Response.json({ errcode: 'M_NOT_FOUND' }, { status: 404 }));
      exchanged += 1;
      return Promise.resolve(Response.json({ user_id: '@bert:x.example', access_token: 'a', device_id: 'D' }));
    });
    TestBed.configureTestingModule({ providers: [provideRouter([])] });
    const router = TestBed.inject(Router);
    spyOn(router, 'navigate').and.callFake((path) => Promise.resolve(visited.push(path[0]) > 0));
    spyOn(router, 'navigateByUrl').and.callFake((url) => Promise.resolve(visited.push(url) > 0));
  });
  afterEach(() => {
    localStorage.removeItem('hansetag-session');
    sessionStorage.clear();
  });

  async function comeBack(loginToken: string, attempt: string): Promise<string> {
    const fixture = TestBed.createComponent(Login);
    fixture.componentRef.setInput('loginToken', loginToken);
    fixture.componentRef.setInput('attempt', attempt);
    fixture.detectChanges();
    while (visited.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    fixture.detectChanges();
    return (fixture.nativeElement as HTMLElement).textContent;
  }

  it('does not use a token of a log-in that was not started here, and says so', async () => {
    const text = await comeBack('of-an-attacker', 'guessed');
    expect(exchanged).toBe(0);
    expect(TestBed.inject(Auth).loggedIn()).toBeFalse();
    expect(visited).toEqual(['/login']);
    expect(text).toContain('was not started in this window');
  });

  it('uses the token of the log-in that this tab has started', async () => {
    const attempt = new URL(TestBed.inject(Auth).loginReturn()).searchParams.get('attempt') ?? '';
    await comeBack('mine', attempt);
    expect(exchanged).toBe(1);
    expect(TestBed.inject(Auth).userId()).toBe('@bert:x.example');
    expect(visited).toEqual(['/']);
  });
});
