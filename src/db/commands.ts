// Every write there is, by name. A command is `(context, args) => result`: it runs inside one transaction, does no I/O of its own, and its
// arguments and result can be cloned between threads. It throws OciError for what a client did wrong.

import { addAccount, changeAccount, deleteAccount, rescueAccount, setAccountFlags, setAccountPassword } from './account-commands.ts';
import { createAccountSecret, deleteAccountSecrets } from './account-secrets.ts';
import { adoptBlob } from './archive-commands.ts';
import { createTag, deleteArtifact, describeRepository, removeRepositoryPart } from './artifact-commands.ts';
import { copyArtifact } from './artifact-copy.ts';
import { addArtifactLabel, removeArtifactLabel } from './artifact-labels.ts';
import { recordAudit, removeOldAudit } from './audit-commands.ts';
import { deleteBlob, linkBlob, mountBlob, recordBlob } from './blob-commands.ts';
import { deleteManifest, deleteTag, putManifest, recordListedReferrers, recordTagCheck, recordTagRemoval } from './content-commands.ts';
import type { CommandContext } from './context.ts';
import { recordCredentialUse } from './credential-use.ts';
import { onboardAccount, suspendAccounts } from './directory-accounts.ts';
import { addGroup, addToGroup, deleteGroup, removeFromGroup, renameGroup } from './group-commands.ts';
import { createAccount } from './identity.ts';
import { changeIdentityProvider, createIdentityProvider, removeIdentityProvider } from './identity-providers.ts';
import { changeLabel, createLabel, deleteLabel } from './labels.ts';
import { createLoginAttempt, takeLoginAttempt } from './login-attempts.ts';
import { recordLogins, sweepLogins } from './login-traces.ts';
import { addMember, changeMember, removeMember } from './member-commands.ts';
import { addPins, removePins } from './pins.ts';
import { changeProject } from './project-words.ts';
import { createProject, deleteProject, ensureMirrorProject, ensureRepository, setMeta } from './projects.ts';
import { changeRobot, createRobot, deleteRobot } from './robot-commands.ts';
import { addGrantRule, addRole, changeRole, deleteRole, removeGrantRule } from './role-commands.ts';
import { finishRewrap, replaceSealed } from './sealed-columns.ts';
import { createSession, deleteExpiredSessions, deleteSession, deleteSessions, renewSession, touchSession } from './sessions.ts';
import { changeSettings } from './settings.ts';
import {
  addRegistry,
  addSource,
  changeRegistry,
  changeSource,
  describeRegistry,
  orderSources,
  removeRegistry,
  removeSource,
} from './source-commands.ts';
import { recordSourceHistory } from './source-history.ts';
import { reconcileSources } from './source-seeds.ts';
import { addTokenKey } from './token-keys.ts';
import { createUpload, deleteExpiredUploads, deleteUpload, extendUpload } from './uploads.ts';
import { recordUse } from './use-commands.ts';
import { createWarmup, endWarmup } from './warmups.ts';
import { changeWorkloadRule, createWorkloadLogin, createWorkloadRule, deleteWorkloadRule } from './workload-rules.ts';

export const commands = {
  recordAudit,
  removeOldAudit,
  setMeta,
  addTokenKey,
  recordLogins,
  sweepLogins,
  createAccount,
  createProject,
  deleteProject,
  changeProject,
  ensureMirrorProject,
  ensureRepository,
  createUpload,
  extendUpload,
  deleteUpload,
  deleteExpiredUploads,
  recordBlob,
  linkBlob,
  mountBlob,
  putManifest,
  recordListedReferrers,
  recordTagCheck,
  recordTagRemoval,
  deleteTag,
  deleteManifest,
  describeRepository,
  createTag,
  deleteArtifact,
  removeRepositoryPart,
  copyArtifact,
  addArtifactLabel,
  removeArtifactLabel,
  deleteBlob,
  recordSourceHistory,
  reconcileSources,
  addRegistry,
  changeRegistry,
  describeRegistry,
  removeRegistry,
  addSource,
  changeSource,
  removeSource,
  orderSources,
  adoptBlob,
  recordUse,
  addPins,
  removePins,
  createLabel,
  changeLabel,
  deleteLabel,
  changeSettings,
  createWarmup,
  endWarmup,
  replaceSealed,
  finishRewrap,
  createIdentityProvider,
  changeIdentityProvider,
  removeIdentityProvider,
  onboardAccount,
  suspendAccounts,
  createRobot,
  changeRobot,
  deleteRobot,
  createAccountSecret,
  deleteAccountSecrets,
  createWorkloadRule,
  changeWorkloadRule,
  deleteWorkloadRule,
  createWorkloadLogin,
  recordCredentialUse,
  createSession,
  touchSession,
  renewSession,
  deleteSession,
  deleteSessions,
  deleteExpiredSessions,
  createLoginAttempt,
  takeLoginAttempt,
  addAccount,
  changeAccount,
  setAccountPassword,
  setAccountFlags,
  deleteAccount,
  rescueAccount,
  addMember,
  changeMember,
  removeMember,
  addGroup,
  renameGroup,
  deleteGroup,
  addToGroup,
  removeFromGroup,
  addRole,
  changeRole,
  deleteRole,
  addGrantRule,
  removeGrantRule,
};

export type CommandName = keyof typeof commands;
export type CommandArguments<N extends CommandName> = Parameters<(typeof commands)[N]>[1];
export type CommandResult<N extends CommandName> = Awaited<ReturnType<(typeof commands)[N]>>;

/** Runs a command by name: for the two implementations of the port. */
export async function runCommand(context: CommandContext, name: CommandName, args: unknown): Promise<unknown> {
  const command = commands[name] as (context: CommandContext, args: unknown) => Promise<unknown>;
  return command(context, args);
}
