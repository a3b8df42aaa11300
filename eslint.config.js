/** Lint rules. Which folder may use which other one is said in .dependency-cruiser.mjs. */
import angular from 'angular-eslint';
import tseslint from 'typescript-eslint';

const TYPES = {
  '@typescript-eslint/no-explicit-any': 'error',
  '@typescript-eslint/no-non-null-assertion': 'error',
  '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
  '@typescript-eslint/consistent-type-imports': 'error',
  '@typescript-eslint/no-floating-promises': ['error', { ignoreVoid: false }],
  '@typescript-eslint/no-misused-promises': 'error',
  '@typescript-eslint/await-thenable': 'error',
  '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
  '@typescript-eslint/only-throw-error': 'error',
  '@typescript-eslint/prefer-promise-reject-errors': 'error',
  '@typescript-eslint/no-unsafe-argument': 'error',
  '@typescript-eslint/no-unsafe-assignment': 'error',
  '@typescript-eslint/no-unsafe-call': 'error',
  '@typescript-eslint/no-unsafe-member-access': 'error',
  '@typescript-eslint/no-unsafe-return': 'error',
};

const CODE = {
  eqeqeq: ['error', 'always', { null: 'ignore' }],
  'no-eval': 'error',
  'no-implied-eval': 'error',
  'no-var': 'error',
  'prefer-const': 'error',
  'no-warning-comments': ['error', { terms: ['todo', 'fixme', 'xxx'] }],
};

/** Settings come in at one place: only config.ts of a part reads the environment. */
const NO_ENVIRONMENT = {
  'no-restricted-properties': ['error', { object: 'process', property: 'env', message: 'Read it in config.ts.' }],
};

/** Those who authorise events, and the store. */
const MAY_READ_SIGNED_FORM = ['homeserver/engine/rooms/**/*.ts', 'homeserver/engine/federation/remote-graph.ts'];

/** What the browser loads: the object `z` holds all of zod, its texts in 50 languages too, and nothing of it falls away. */
const SMALL_ZOD = {
  'no-restricted-syntax': [
    'error',
    {
      selector: "ImportDeclaration[source.value='zod'] > :not(ImportNamespaceSpecifier, Literal)",
      message: "Write `import * as z from 'zod'`: what is not used of it is not bundled then.",
    },
  ],
};

const SERVER = ['protocol', 'federation', 'homeserver', 'sfu', 'deploy', 'spec'];

export default tseslint.config(
  {
    ignores: ['node_modules/', 'dist/', 'var/', 'coverage/', '.angular/', 'deploy/worker/include/', '**/*.d.mts'],
  },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.js', '**/*.mjs', '**/*.cjs'],
    languageOptions: { ecmaVersion: 'latest' },
    rules: { ...CODE, 'no-unused-vars': 'error' },
  },
  {
    files: SERVER.map((folder) => `${folder}/**/*.ts`),
    extends: [tseslint.configs.base],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: { ...CODE, ...TYPES },
  },
  {
    // `once` of node:events and Jasmine's matchers give any.
    files: ['spec/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
    },
  },
  {
    files: ['client-angular/src/**/*.ts'],
    ignores: ['**/*.spec.ts', '**/*-for-specs.ts'],
    extends: [tseslint.configs.base, ...angular.configs.tsRecommended],
    languageOptions: {
      parserOptions: { project: './client-angular/tsconfig.app.json', tsconfigRootDir: import.meta.dirname },
    },
  },
  {
    files: ['client-angular/src/**/*.spec.ts', 'client-angular/src/**/*-for-specs.ts'],
    extends: [tseslint.configs.base, ...angular.configs.tsRecommended],
    languageOptions: {
      parserOptions: { project: './client-angular/tsconfig.spec.json', tsconfigRootDir: import.meta.dirname },
    },
  },
  {
    files: ['client-angular/src/**/*.ts'],
    processor: angular.processInlineTemplates,
    rules: {
      ...CODE,
      ...TYPES,
      // In the browser a rejection that nobody takes ends nothing, and Angular's listeners report it.
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@angular-eslint/prefer-on-push-component-change-detection': 'error',
      '@angular-eslint/component-selector': [
        'error',
        [
          { type: 'element', prefix: 'ht', style: 'kebab-case' },
          { type: 'attribute', prefix: 'ht', style: 'camelCase' },
        ],
      ],
      '@angular-eslint/directive-selector': ['error', { type: 'attribute', prefix: 'ht', style: 'camelCase' }],
    },
  },
  {
    files: ['client-angular/src/**/*.html'],
    extends: [...angular.configs.templateRecommended, ...angular.configs.templateAccessibility],
  },
  {
    files: ['homeserver/**/*.ts'],
    ignores: MAY_READ_SIGNED_FORM,
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              group: ['**/stored-event.ts'],
              importNames: ['signedForm'],
              message: 'Redacted content is for authorisation alone: read `event.pdu`.',
            },
          ],
        },
      ],
    },
  },
  { files: ['homeserver/**/*.ts', 'sfu/**/*.ts', 'protocol/**/*.ts'], rules: { 'max-lines': ['error', 399] } },
  { files: ['homeserver/app/server.ts'], rules: { 'max-lines': ['error', 149] } },
  { files: ['protocol/**/*.ts', 'client-angular/src/**/*.ts'], rules: SMALL_ZOD },
  {
    files: ['protocol/**/*.ts', 'federation/**/*.ts', 'homeserver/**/*.ts', 'sfu/**/*.ts'],
    ignores: ['**/config.ts', 'homeserver/main.ts'],
    rules: NO_ENVIRONMENT,
  },
);
