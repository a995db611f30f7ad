import { expect, test } from 'bun:test';
import { policyOf } from './api.ts';
import { needsStepUp } from './step-up.ts';

const prefix = '/api/v2.0';

test('rights, secrets, endpoints and the end of projects ask for a recent proof', () => {
  for (const key of [
    `POST ${prefix}/users`,
    `PUT ${prefix}/users/{user_id}/sysadmin`,
    `DELETE ${prefix}/users/{user_id}`,
    `POST ${prefix}/robots`,
    `PATCH ${prefix}/robots/{robot_id}`,
    `POST ${prefix}/sources`,
    `PATCH ${prefix}/registries/{name}`,
    `PUT ${prefix}/configurations`,
    `POST ${prefix}/identity-providers`,
    `DELETE ${prefix}/projects/{project_name_or_id}`,
    `DELETE ${prefix}/sessions/{session_id}`,
  ])
    expect([key, needsStepUp(key)]).toEqual([key, true]);
});

test('reading, one’s own sessions, tries and the work of every day do not', () => {
  for (const key of [
    `GET ${prefix}/users`,
    `DELETE ${prefix}/users/current/sessions`,
    `DELETE ${prefix}/users/current/sessions/{session_id}`,
    `POST ${prefix}/sessions/current/step-up`,
    `POST ${prefix}/sources/test`,
    `POST ${prefix}/registries/ping`,
    `POST ${prefix}/projects`,
    `PUT ${prefix}/projects/{project_name_or_id}`,
    `POST ${prefix}/usersearch`,
  ])
    expect([key, needsStepUp(key)]).toEqual([key, false]);
});

test('every route is either way, and reading never asks', () => {
  const keys = Object.keys(policyOf());
  expect(keys.filter((key) => key.startsWith('GET ') && needsStepUp(key))).toEqual([]);
  expect(keys.some(needsStepUp)).toBe(true);
});
