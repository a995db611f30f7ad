// Counts and searches over what somebody may see: projects and repositories, for the statistics and the search box.

import { sql } from 'kysely';
import { containsText, type ListReader } from './listing.ts';
import { type ProjectScope, scopeCondition } from './project-lists.ts';
import { type Project, projectColumns, toProject } from './projects.ts';

export interface Counts {
  readonly publicProjects: number;
  readonly privateProjects: number;
  readonly publicRepositories: number;
  readonly privateRepositories: number;
}
export interface FoundRepository {
  readonly id: number;
  readonly name: string;
  readonly projectId: number;
  readonly projectName: string;
  readonly isPublic: boolean;
  readonly artifactCount: number;
}

export async function countOverview({ read, dialect }: ListReader, scope: ProjectScope): Promise<Counts> {
  const rows = await read
    .selectFrom('project')
    .select((select) => [
      'project.is_public',
      select.fn.countAll<number>().as('projects'),
      select.fn
        .sum<number>(
          select
            .selectFrom('repository')
            .select((count) => count.fn.countAll<number>().as('count'))
            .whereRef('repository.project_id', '=', 'project.id'),
        )
        .as('repositories'),
    ])
    .where(scopeCondition(scope, dialect))
    .groupBy('project.is_public')
    .execute();
  const of = (isPublic: number) => rows.find((row) => row.is_public === isPublic);
  return {
    publicProjects: Number(of(1)?.projects ?? 0),
    privateProjects: Number(of(0)?.projects ?? 0),
    publicRepositories: Number(of(1)?.repositories ?? 0),
    privateRepositories: Number(of(0)?.repositories ?? 0),
  };
}

/** Projects and repositories with the text in their names, by name, at most `limit` of each. */
export async function searchNames(
  { read, dialect }: ListReader,
  { scope, text, limit }: { scope: ProjectScope; text: string; limit: number },
): Promise<{ projects: Project[]; repositories: FoundRepository[] }> {
  const projects = await read
    .selectFrom('project')
    .select(projectColumns)
    .where(scopeCondition(scope, dialect))
    .where(containsText(sql.ref('project.name'), text, dialect))
    .orderBy('name')
    .limit(limit)
    .execute();
  const repositories = await read
    .selectFrom('repository')
    .innerJoin('project', 'project.id', 'repository.project_id')
    .select((select) => [
      'repository.id',
      'repository.name',
      'repository.project_id',
      'project.name as project_name',
      'project.is_public',
      select
        .selectFrom('manifest')
        .select((count) => count.fn.countAll<number>().as('count'))
        .whereRef('manifest.repository_id', '=', 'repository.id')
        .as('artifact_count'),
    ])
    .where(scopeCondition(scope, dialect))
    .where(containsText(sql.ref('repository.name'), text, dialect))
    .orderBy('repository.name')
    .limit(limit)
    .execute();
  return {
    projects: projects.map(toProject),
    repositories: repositories.map((row) => ({
      id: row.id,
      name: row.name,
      projectId: row.project_id,
      projectName: row.project_name,
      isPublic: row.is_public === 1,
      artifactCount: Number(row.artifact_count ?? 0),
    })),
  };
}
