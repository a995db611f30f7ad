// Operations of Harbor's v2.0 API as its clients know them: Harbor's name of each, method, path and query parameters. Facts of its published interface,
// from which a generic client is made (client.ts).

const lines = `
getPing GET /ping
getHealth GET /health
getSystemInfo GET /systeminfo
getVolumes GET /systeminfo/volumes
getStatistic GET /statistics
search GET /search q
getConfigurations GET /configurations
updateConfigurations PUT /configurations
getPermissions GET /permissions
listProjects GET /projects q page page_size sort name public owner with_detail
createProject POST /projects
headProject HEAD /projects project_name
getProject GET /projects/{project_name_or_id}
updateProject PUT /projects/{project_name_or_id}
deleteProject DELETE /projects/{project_name_or_id}
getProjectDeletable GET /projects/{project_name_or_id}/_deletable
getProjectSummary GET /projects/{project_name_or_id}/summary
listProjectMetadatas GET /projects/{project_name_or_id}/metadatas/
addProjectMetadatas POST /projects/{project_name_or_id}/metadatas/
getProjectMetadata GET /projects/{project_name_or_id}/metadatas/{meta_name}
updateProjectMetadata PUT /projects/{project_name_or_id}/metadatas/{meta_name}
deleteProjectMetadata DELETE /projects/{project_name_or_id}/metadatas/{meta_name}
listProjectMembers GET /projects/{project_name_or_id}/members page page_size entityname
createProjectMember POST /projects/{project_name_or_id}/members
getProjectMember GET /projects/{project_name_or_id}/members/{mid}
updateProjectMember PUT /projects/{project_name_or_id}/members/{mid}
deleteProjectMember DELETE /projects/{project_name_or_id}/members/{mid}
getLogs GET /projects/{project_name}/logs q sort page page_size
getLogExts GET /projects/{project_name}/auditlog-exts q sort page page_size
listAllRepositories GET /repositories q sort page page_size
listRepositories GET /projects/{project_name}/repositories q sort page page_size
getRepository GET /projects/{project_name}/repositories/{repository_name}
updateRepository PUT /projects/{project_name}/repositories/{repository_name}
deleteRepository DELETE /projects/{project_name}/repositories/{repository_name}
listArtifacts GET /projects/{project_name}/repositories/{repository_name}/artifacts q sort page page_size with_tag with_label with_accessory with_scan_overview
copyArtifact POST /projects/{project_name}/repositories/{repository_name}/artifacts from
getArtifact GET /projects/{project_name}/repositories/{repository_name}/artifacts/{reference} with_tag with_label with_accessory with_scan_overview
deleteArtifact DELETE /projects/{project_name}/repositories/{repository_name}/artifacts/{reference}
createTag POST /projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/tags
listTags GET /projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/tags q sort page page_size
deleteTag DELETE /projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/tags/{tag_name}
listAccessories GET /projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/accessories q sort page page_size
getAddition GET /projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/additions/{addition}
addLabel POST /projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/labels
removeLabel DELETE /projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/labels/{label_id}
listLabels GET /labels page page_size name scope project_id q sort
createLabel POST /labels
getLabel GET /labels/{label_id}
updateLabel PUT /labels/{label_id}
deleteLabel DELETE /labels/{label_id}
listRobots GET /robots q sort page page_size
createRobot POST /robots
getRobot GET /robots/{robot_id}
updateRobot PUT /robots/{robot_id}
refreshSecret PATCH /robots/{robot_id}
deleteRobot DELETE /robots/{robot_id}
listUsers GET /users q sort page page_size
createUser POST /users
getCurrentUserInfo GET /users/current
getCurrentUserPermissions GET /users/current/permissions scope relative
searchUsers GET /users/search username page page_size
getUser GET /users/{user_id}
updateUserProfile PUT /users/{user_id}
deleteUser DELETE /users/{user_id}
setUserSysAdmin PUT /users/{user_id}/sysadmin
updateUserPassword PUT /users/{user_id}/password
setCliSecret PUT /users/{user_id}/cli_secret
listUserGroups GET /usergroups page page_size group_name ldap_group_dn
createUserGroup POST /usergroups
searchUserGroups GET /usergroups/search groupname page page_size
getUserGroup GET /usergroups/{group_id}
updateUserGroup PUT /usergroups/{group_id}
deleteUserGroup DELETE /usergroups/{group_id}
listQuotas GET /quotas reference reference_id sort page page_size
getQuota GET /quotas/{id}
listRegistries GET /registries q sort page page_size
createRegistry POST /registries
pingRegistry POST /registries/ping
getRegistry GET /registries/{id}
updateRegistry PUT /registries/{id}
deleteRegistry DELETE /registries/{id}
getRegistryInfo GET /registries/{id}/info
listRegistryProviderTypes GET /replication/adapters
listAuditLogs GET /audit-logs q sort page page_size
listAuditLogExts GET /auditlog-exts q sort page page_size
listAuditLogEventTypes GET /auditlog-exts/events
`;

export interface Operation {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly query: readonly string[];
}

export const operations: readonly Operation[] = lines
  .trim()
  .split('\n')
  .map((line) => {
    const [id = '', method = '', path = '', ...query] = line.split(' ');
    return { id, method, path, query };
  });
