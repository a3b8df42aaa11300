// Karma for the client's component specs: `ng test client` in the Chromium of the machine, without a display.
process.env.CHROME_BIN ??= '/usr/bin/chromium';
// A zone with summer time, so that specs can try the hour that the clocks skip.
process.env.TZ = 'Europe/Berlin';

module.exports = (config) => {
  config.set({
    frameworks: ['jasmine'],
    plugins: [require('karma-jasmine'), require('karma-chrome-launcher'), require('karma-coverage')],
    client: { jasmine: { random: true } },
    coverageReporter: { dir: 'coverage/client', reporters: [{ type: 'text-summary' }, { type: 'json' }] },
    reporters: ['dots'],
    browsers: ['ChromiumForSpecs'],
    customLaunchers: {
      ChromiumForSpecs: {
        base: 'ChromiumHeadless',
        flags: [
          '--no-sandbox',
          '--disable-gpu',
          '--disable-dev-shm-usage',
          '--use-fake-device-for-media-stream',
          '--use-fake-ui-for-media-stream',
          '--autoplay-policy=no-user-gesture-required',
        ],
      },
    },
    listenAddress: '127.0.0.1',
    hostname: '127.0.0.1',
    restartOnFileChange: false,
  });
};
