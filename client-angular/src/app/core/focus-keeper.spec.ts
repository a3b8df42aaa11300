import { ChangeDetectionStrategy, Component, signal } from '@angular/core';
import { type ComponentFixture, TestBed } from '@angular/core/testing';
import { provideRouter } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import { FocusKeeper } from './focus-keeper.ts';

@Component({
  selector: 'ht-test-cards',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<h1>All</h1>
    <section>
      <h2>Cards</h2>
      @if (card()) {
        <article><button type="button">Answer</button></article>
      }
    </section>
    <section>
      @if (other()) {
        <button type="button" class="other">Other</button>
      }
    </section>`,
})
class Cards {
  readonly card = signal(true);
  readonly other = signal(true);
}

@Component({
  selector: 'ht-test-empty',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: '<h1>Another screen</h1>',
})
class Another {}

describe('Accessibility: the focus', () => {
  let fixture: ComponentFixture<Cards>;

  function root(): HTMLElement {
    return fixture.nativeElement as HTMLElement;
  }

  function focused(): string | null | undefined {
    return document.activeElement?.textContent;
  }

  beforeEach(async () => {
    TestBed.configureTestingModule({
      providers: [
        provideRouter([
          { path: 'a', component: Cards },
          { path: 'b', component: Another },
        ]),
      ],
    });
    TestBed.inject(FocusKeeper);
    fixture = TestBed.createComponent(Cards);
    document.body.appendChild(root());
    await fixture.whenStable();
  });

  it('goes to the nearest heading when its element vanishes', async () => {
    root().querySelector('button')?.focus();
    fixture.componentInstance.card.set(false);
    await fixture.whenStable();
    expect(focused()).toBe('Cards');
  });

  it('goes further up where there is no heading near', async () => {
    root().querySelector<HTMLElement>('.other')?.focus();
    fixture.componentInstance.other.set(false);
    await fixture.whenStable();
    expect(focused()).toBe('All');
  });

  it('goes to the heading nearest to what had opened a menu, when both vanish', async () => {
    root().querySelector('button')?.focus();
    const overlays = document.createElement('div');
    overlays.className = 'cdk-overlay-container';
    overlays.innerHTML = '<section><button type="button">One</button><button type="button">Two</button></section>';
    document.body.appendChild(overlays);
    for (const item of overlays.querySelectorAll('button')) item.focus();
    overlays.firstElementChild?.remove();
    fixture.componentInstance.card.set(false);
    await fixture.whenStable();
    overlays.remove();
    expect(focused()).toBe('Cards');
  });

  it('is not brought back to somebody who has left it', async () => {
    const button = root().querySelector('button');
    button?.focus();
    button?.blur();
    await Promise.resolve();
    fixture.componentInstance.card.set(false);
    await fixture.whenStable();
    expect(document.activeElement).toBe(document.body);
  });

  it('goes to the heading of a new screen, but not of the first one', async () => {
    root().remove();
    const harness = await RouterTestingHarness.create();
    await harness.navigateByUrl('/a');
    expect(document.activeElement).toBe(document.body);
    await harness.navigateByUrl('/b');
    expect(focused()).toBe('Another screen');
  });

  it('that a script sets on a heading draws no ring; that of a button does', () => {
    const heading = root().querySelector('h1');
    const button = root().querySelector('button');
    if (!heading || !button) throw new Error('nothing to focus');
    heading.tabIndex = -1;
    heading.focus({ focusVisible: true } as FocusOptions);
    expect(document.activeElement).toBe(heading);
    expect(getComputedStyle(heading).outlineStyle).toBe('none');
    button.focus({ focusVisible: true } as FocusOptions);
    expect(getComputedStyle(button).outlineStyle).toBe('solid');
  });
});
