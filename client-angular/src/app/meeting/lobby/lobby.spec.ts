import { type ComponentFixture, TestBed } from '@angular/core/testing';
import { provideRouter } from '@angular/router';
import { ApiError } from '../../core/api-error.ts';
import { Api } from '../../core/api.ts';
import { LocalMedia } from '../../media/local-media.ts';
import { Lobby } from './lobby.ts';

describe('The lobby', () => {
  let fixture: ComponentFixture<Lobby>;

  async function open(error: ApiError): Promise<HTMLElement> {
    TestBed.configureTestingModule({ providers: [provideRouter([])] });
    spyOn(TestBed.inject(Api), 'meeting').and.rejectWith(error);
    fixture = TestBed.createComponent(Lobby);
    fixture.componentRef.setInput('roomId', '!r');
    await fixture.whenStable();
    return fixture.nativeElement as HTMLElement;
  }

  afterEach(() => fixture.destroy());

  it('of a meeting that is not there offers the way back, and lets go of camera and microphone', async () => {
    const root = await open(new ApiError(404, 'M_NOT_FOUND', 'no'));
    expect(root.querySelector('h1')?.textContent).toContain('can not be opened');
    expect(root.querySelector('[data-testid=lobby-join]')).toBeNull();
    expect(root.textContent).toContain('To my meetings');
    expect(root.textContent).not.toContain('Try again');
    expect(TestBed.inject(LocalMedia).camera().on).toBeFalse();
  });

  it('whose server does not answer can be tried again', async () => {
    const root = await open(new ApiError(0, 'M_UNKNOWN', 'no answer'));
    expect(root.textContent).toContain('does not answer');
    expect(root.textContent).toContain('Try again');
  });
});
