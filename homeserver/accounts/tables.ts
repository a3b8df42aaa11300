/** The tables of accounts. Tokens are also read by statements, for each request: `token-holders.ts`. */
import { DataTypes } from 'sequelize';
import type { CreationOptional } from 'sequelize';
import { defineModel } from '../database/models.ts';
import type { Row } from '../database/models.ts';

export interface UserRow extends Row<UserRow> {
  localpart: string;
  issuer: CreationOptional<string | null>;
  subject: CreationOptional<string | null>;
  displayName: string | null;
  guest: boolean;
  /** The password hash of `Passwords`. */
  password: CreationOptional<string | null>;
  admin: CreationOptional<boolean>;
  locked: CreationOptional<boolean>;
  suspended: CreationOptional<boolean>;
  createdAt: number;
  deactivatedAt: CreationOptional<number | null>;
  outOfRooms: CreationOptional<boolean>;
  /** The name that the identity provider has said last. */
  upstreamName: CreationOptional<string | null>;
  /** The mail address that the identity provider has verified. */
  email: CreationOptional<string | null>;
  /** Where the account belongs on an instance with tenants: see `Place`. */
  tenant: CreationOptional<string | null>;
  tariff: CreationOptional<string | null>;
  tenantAdmin: CreationOptional<boolean>;
}

export const userModel = defineModel<UserRow>('users', {
  localpart: { type: DataTypes.TEXT, primaryKey: true },
  issuer: DataTypes.TEXT,
  subject: DataTypes.TEXT,
  displayName: DataTypes.TEXT,
  guest: DataTypes.BOOLEAN,
  password: DataTypes.TEXT,
  admin: DataTypes.BOOLEAN,
  locked: DataTypes.BOOLEAN,
  suspended: DataTypes.BOOLEAN,
  createdAt: DataTypes.BIGINT,
  deactivatedAt: DataTypes.BIGINT,
  outOfRooms: DataTypes.BOOLEAN,
  upstreamName: DataTypes.TEXT,
  email: DataTypes.TEXT,
  tenant: DataTypes.TEXT,
  tariff: DataTypes.TEXT,
  tenantAdmin: DataTypes.BOOLEAN,
});

/** A profile field other than the display name. */
export interface ProfileFieldRow extends Row<ProfileFieldRow> {
  localpart: string;
  field: string;
  json: string;
}

export const profileFieldModel = defineModel<ProfileFieldRow>('profile_fields', {
  localpart: { type: DataTypes.TEXT, primaryKey: true },
  field: { type: DataTypes.TEXT, primaryKey: true },
  json: DataTypes.TEXT,
});

export interface DeviceRow extends Row<DeviceRow> {
  localpart: string;
  deviceId: string;
  displayName: string | null;
  createdAt: number;
  lastSeenAt: number;
  lastSeenIp: CreationOptional<string | null>;
  userAgent: CreationOptional<string | null>;
}

export const deviceModel = defineModel<DeviceRow>('devices', {
  localpart: { type: DataTypes.TEXT, primaryKey: true },
  deviceId: { type: DataTypes.TEXT, primaryKey: true },
  displayName: DataTypes.TEXT,
  createdAt: DataTypes.BIGINT,
  lastSeenAt: DataTypes.BIGINT,
  lastSeenIp: DataTypes.TEXT,
  userAgent: DataTypes.TEXT,
});

/** A token pair of a device; only hashes. */
export interface TokenRow extends Row<TokenRow> {
  accessHash: Buffer;
  refreshHash: Buffer | null;
  localpart: string;
  deviceId: string;
  expiresAt: number | null;
  /** `accessHash` of the pair that this one replaces on first use. */
  replaces: Buffer | null;
  used: boolean;
  createdAt: number;
}

export const tokenModel = defineModel<TokenRow>('tokens', {
  accessHash: { type: DataTypes.BLOB, primaryKey: true },
  refreshHash: DataTypes.BLOB,
  localpart: DataTypes.TEXT,
  deviceId: DataTypes.TEXT,
  expiresAt: DataTypes.BIGINT,
  // A model has a method `previous`.
  replaces: { type: DataTypes.BLOB, field: 'previous' },
  used: DataTypes.BOOLEAN,
  createdAt: DataTypes.BIGINT,
});

/** Items of the OAuth 2.0 provider (clients, grants, tokens and more), by the name of its `model`. */
export interface OauthItemRow extends Row<OauthItemRow> {
  model: string;
  /** Hash of the id. */
  id: Buffer;
  uid: string | null;
  userCode: string | null;
  grantId: string | null;
  /** JSON. */
  payload: string;
  localpart: string | null;
  deviceId: string | null;
  expiresAt: number | null;
  consumedAt: CreationOptional<number | null>;
}

export const oauthItemModel = defineModel<OauthItemRow>('oauth_items', {
  model: { type: DataTypes.TEXT, primaryKey: true },
  id: { type: DataTypes.BLOB, primaryKey: true },
  uid: DataTypes.TEXT,
  userCode: DataTypes.TEXT,
  grantId: DataTypes.TEXT,
  payload: DataTypes.TEXT,
  localpart: DataTypes.TEXT,
  deviceId: DataTypes.TEXT,
  expiresAt: DataTypes.BIGINT,
  consumedAt: DataTypes.BIGINT,
});

/** The signing key of ID tokens. */
export interface OauthKeyRow extends Row<OauthKeyRow> {
  createdAt: number;
  /** JSON. */
  jwk: string;
}

export const oauthKeyModel = defineModel<OauthKeyRow>('oauth_keys', {
  // Unique in practice, not by the schema: Sequelize needs a primary key.
  createdAt: { type: DataTypes.BIGINT, primaryKey: true },
  jwk: DataTypes.TEXT,
});

/** An OpenID token; only its hash. */
export interface OpenIdTokenRow extends Row<OpenIdTokenRow> {
  hash: Buffer;
  localpart: string;
  expiresAt: number;
}

export const openIdTokenModel = defineModel<OpenIdTokenRow>('openid_tokens', {
  hash: { type: DataTypes.BLOB, primaryKey: true },
  localpart: DataTypes.TEXT,
  expiresAt: DataTypes.BIGINT,
});

/** The server notice room of a user. */
export interface NoticeRoomRow extends Row<NoticeRoomRow> {
  localpart: string;
  roomId: string;
}

export const noticeRoomModel = defineModel<NoticeRoomRow>('server_notice_rooms', {
  localpart: { type: DataTypes.TEXT, primaryKey: true },
  roomId: DataTypes.TEXT,
});

/** The session at the identity provider by which a device was logged in. */
export interface UpstreamSessionRow extends Row<UpstreamSessionRow> {
  localpart: string;
  deviceId: string;
  issuer: string;
  subject: string;
  sid: string | null;
  /** Encrypted by `Seal`. */
  sealedTokens: Buffer;
  checkable: boolean;
  checkedAt: number;
  retryAt: CreationOptional<number>;
}

export const upstreamSessionModel = defineModel<UpstreamSessionRow>('upstream_sessions', {
  localpart: { type: DataTypes.TEXT, primaryKey: true },
  deviceId: { type: DataTypes.TEXT, primaryKey: true },
  issuer: DataTypes.TEXT,
  subject: DataTypes.TEXT,
  sid: DataTypes.TEXT,
  sealedTokens: DataTypes.BLOB,
  checkable: DataTypes.BOOLEAN,
  checkedAt: DataTypes.BIGINT,
  retryAt: DataTypes.BIGINT,
});
