// Labels: global ones, and those of a project. Rights were decided by the caller.

import type { Database } from '../db/database.ts';
import { findLabel, type Label, type LabelField, type LabelWords, listLabels } from '../db/labels.ts';
import type { ListWish } from '../db/listing.ts';

export interface Labels {
  /** One page of the global labels (`projectId` undefined) or of a project's own, and how many match. */
  page(projectId: number | undefined, wish: ListWish<LabelField>): Promise<{ labels: Label[]; count: number }>;
  find(id: number): Promise<Label | undefined>;
  /** CONFLICT when the name is taken there. */
  create(words: LabelWords, projectId: number | undefined): Promise<Label>;
  /** CONFLICT when the name is taken there, NOT_FOUND. */
  change(id: number, words: LabelWords): Promise<Label>;
  /** NOT_FOUND. */
  remove(id: number): Promise<void>;
}

export function createLabels(database: Database): Labels {
  return {
    page: (projectId, wish) => listLabels(database, { projectId, wish }),
    find: (id) => findLabel(database.read, id),
    create: (words, projectId) => database.run('createLabel', { ...words, ...(projectId === undefined ? {} : { projectId }) }),
    change: (id, words) => database.run('changeLabel', { id, ...words }),
    remove: (id) => database.run('deleteLabel', { id }),
  };
}
