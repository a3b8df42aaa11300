/**
 * `globalThis.hansetagDiagnostics`: what the browser says about the media of the running conference, for tests,
 * measurements and the help desk. Numbers and addresses only; no names, no keys, no content.
 */
import type { types } from 'mediasoup-client';
import type { Source } from '../../../../protocol/media.ts';
import type { RemoteMedia } from '../media/received-media.ts';
import { type Marks, marks } from '../core/marks.ts';

export interface VideoStats {
  participantId: string;
  source: Source;
  framesDecoded: number;
  frameWidth: number;
  frameHeight: number;
  freezeCount: number;
  /** Seconds. */
  totalFreezesDuration: number;
}

export interface AudioStats {
  participantId: string;
  totalAudioEnergy: number;
  packetsReceived: number;
}

export interface PairStats {
  localAddress: string;
  remoteAddress: string;
  remotePort: number;
  protocol: string;
  state: string;
}

/** A layer that is being sent. */
export interface LayerStats {
  rid: string;
  frameWidth: number;
  frameHeight: number;
  framesPerSecond: number;
  bytesSent: number;
}

export interface Diagnostics {
  stats(): Promise<{ videos: VideoStats[]; audios: AudioStats[]; pairs: PairStats[]; layers: LayerStats[] }>;
  readonly marks: Marks;
}

declare global {
  var hansetagDiagnostics: Diagnostics | undefined;
}

type Entry = Record<string, unknown>;

function number(entry: Entry, name: string): number {
  const value = entry[name];
  return typeof value === 'number' ? value : 0;
}

function text(entry: Entry, name: string): string {
  const value = entry[name];
  return typeof value === 'string' ? value : '';
}

function pairOf(report: Map<string, Entry>): PairStats | undefined {
  const entries = [...report.values()];
  const transport = entries.find((entry) => entry['type'] === 'transport');
  const selected = transport && report.get(text(transport, 'selectedCandidatePairId'));
  const pair = selected ?? entries.find((entry) => entry['type'] === 'candidate-pair' && entry['nominated'] === true);
  const local = pair && report.get(text(pair, 'localCandidateId'));
  const remote = pair && report.get(text(pair, 'remoteCandidateId'));
  if (!pair || !remote) return undefined;
  return {
    localAddress: local ? text(local, 'address') || text(local, 'ip') : '',
    remoteAddress: text(remote, 'address') || text(remote, 'ip'),
    remotePort: number(remote, 'port'),
    protocol: text(remote, 'protocol'),
    state: text(pair, 'state'),
  };
}

export function diagnostics(
  transports: () => readonly types.Transport[],
  received: () => Iterable<RemoteMedia>,
): Diagnostics {
  return {
    marks,
    async stats() {
      const videos: VideoStats[] = [];
      const audios: AudioStats[] = [];
      const pairs: PairStats[] = [];
      const layers: LayerStats[] = [];
      const byTrack = new Map([...received()].map((media) => [media.track.id, media]));
      for (const transport of transports()) {
        // One that was replaced a moment ago has nothing to say any more.
        if (transport.closed) continue;
        const report = new Map<string, Entry>();
        (await transport.getStats()).forEach((entry: Entry, id: string) => report.set(id, entry));
        const pair = pairOf(report);
        if (pair) pairs.push(pair);
        for (const entry of report.values()) {
          const media = byTrack.get(text(entry, 'trackIdentifier'));
          if (entry['type'] === 'outbound-rtp' && entry['kind'] === 'video') {
            layers.push({
              rid: text(entry, 'rid'),
              frameWidth: number(entry, 'frameWidth'),
              frameHeight: number(entry, 'frameHeight'),
              framesPerSecond: number(entry, 'framesPerSecond'),
              bytesSent: number(entry, 'bytesSent'),
            });
          } else if (entry['type'] === 'inbound-rtp' && media && entry['kind'] === 'video') {
            videos.push({
              participantId: media.participantId,
              source: media.source,
              framesDecoded: number(entry, 'framesDecoded'),
              frameWidth: number(entry, 'frameWidth'),
              frameHeight: number(entry, 'frameHeight'),
              freezeCount: number(entry, 'freezeCount'),
              totalFreezesDuration: number(entry, 'totalFreezesDuration'),
            });
          } else if (entry['type'] === 'inbound-rtp' && media) {
            audios.push({
              participantId: media.participantId,
              totalAudioEnergy: number(entry, 'totalAudioEnergy'),
              packetsReceived: number(entry, 'packetsReceived'),
            });
          }
        }
      }
      return { videos, audios, pairs, layers };
    },
  };
}
