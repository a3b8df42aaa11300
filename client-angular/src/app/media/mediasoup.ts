/**
 * The parts of mediasoup-client that are loaded on demand. The library is CommonJS: only a static import gives its
 * names in the built client, so this module is what gets imported dynamically.
 */
export { detectDevice, Device } from 'mediasoup-client';
