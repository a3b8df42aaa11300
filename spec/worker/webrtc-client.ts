/**
 * The media half of a browser at one place: a socket, a key with its certificate, ICE by hand. OpenSSL's own client does
 * DTLS; as it cannot do ICE, its packets pass the socket, which first proves by STUN that it is the expected client.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { X509Certificate, createHmac, randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

/** What the signalling says of the media server's half. */
export interface IceCredentials {
  readonly usernameFragment: string;
  readonly password: string;
}

export interface MediaAddress {
  readonly address: string;
  readonly port: number;
}

const STUN_SUCCESS = 0x0101;
const DTLS_HANDSHAKE = 22;

export class WebRtcClient {
  readonly #folder: string;
  readonly #socket: Socket;
  readonly #server: MediaAddress;
  #openssl: ChildProcess | undefined;
  #opensslPort = 0;
  /** Packets of its handshake that have gone out, and that have come in. */
  readonly handshake = { sent: 0, received: 0 };

  private constructor(folder: string, socket: Socket, server: MediaAddress) {
    this.#folder = folder;
    this.#socket = socket;
    this.#server = server;
    socket.on('message', (datagram, from) => this.#relay(datagram, from.port));
  }

  static async open(server: MediaAddress): Promise<WebRtcClient> {
    const folder = mkdtempSync(join(tmpdir(), 'hansetag-webrtc-'));
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new WebRtcClient(folder, socket, server);
  }

  /** Makes its key and certificate. @returns the fingerprint that its signalling announces */
  makeCertificate(): { readonly algorithm: 'sha-256'; readonly value: string } {
    const args = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=client -days 1';
    const made = spawnSync('openssl', [...args.split(' '), '-keyout', 'key.pem', '-out', 'cert.pem'], {
      cwd: this.#folder,
    });
    if (made.status !== 0) throw new Error(made.stderr.toString());
    const certificate = new X509Certificate(readFileSync(join(this.#folder, 'cert.pem')));
    return { algorithm: 'sha-256', value: certificate.fingerprint256 };
  }

  /** Shows that it knows the credentials. Resolves with the answer: never, where there is none. */
  async check(credentials: IceCredentials): Promise<void> {
    const request = bindingRequest(credentials);
    const id = idOf(request);
    await new Promise<void>((resolve) => {
      const listen = (datagram: Buffer): void => {
        if (datagram.length < 20 || datagram.readUInt16BE(0) !== STUN_SUCCESS || idOf(datagram) !== id) return;
        this.#socket.off('message', listen);
        resolve();
      };
      this.#socket.on('message', listen);
      this.#socket.send(request, this.#server.port, this.#server.address);
    });
  }

  /** Starts the handshake, with the certificate that was made; it goes on by itself. */
  startDtls(): void {
    const { port } = this.#socket.address();
    const args = `s_client -dtls1_2 -use_srtp SRTP_AEAD_AES_256_GCM -connect 127.0.0.1:${String(port)}`;
    this.#openssl = spawn('openssl', [...args.split(' '), '-cert', 'cert.pem', '-key', 'key.pem'], {
      cwd: this.#folder,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
  }

  close(): void {
    this.#openssl?.kill();
    this.#socket.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #relay(datagram: Buffer, from: number): void {
    const isHandshake = datagram[0] === DTLS_HANDSHAKE;
    if (from !== this.#server.port) {
      this.#opensslPort = from;
      if (isHandshake) this.handshake.sent += 1;
      this.#socket.send(datagram, this.#server.port, this.#server.address);
    } else if (this.#opensslPort !== 0) {
      if (isHandshake) this.handshake.received += 1;
      this.#socket.send(datagram, this.#opensslPort, '127.0.0.1');
    }
  }
}

function idOf(message: Buffer): string {
  return message.subarray(8, 20).toString('hex');
}

/** A STUN request of the controlling ICE agent that nominates its address (RFC 8489 section 14, RFC 8445 section 7). */
function bindingRequest({ usernameFragment, password }: IceCredentials): Buffer {
  const header = Buffer.concat([Buffer.from('000100002112a442', 'hex'), randomBytes(12)]);
  let message = Buffer.concat([
    header,
    attribute(0x0006, Buffer.from(`${usernameFragment}:client`)),
    attribute(0x0024, Buffer.from('6e0001ff', 'hex')),
    attribute(0x802a, randomBytes(8)),
    attribute(0x0025, Buffer.alloc(0)),
  ]);
  // Both checks are made over a header that already counts the attribute itself: 20 bytes of HMAC, 4 of CRC.
  message.writeUInt16BE(message.length - header.length + 24, 2);
  const integrity = createHmac('sha1', password).update(message).digest();
  message = Buffer.concat([message, attribute(0x0008, integrity)]);
  message.writeUInt16BE(message.length - header.length + 8, 2);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE((crc32(message) ^ 0x5354554e) >>> 0);
  return Buffer.concat([message, attribute(0x8028, checksum)]);
}

function attribute(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
}
