// The groups of routes for sites without a network.

import { archiveRoutes } from './archive-routes.ts';
import type { RouteGroup } from './environment.ts';
import { pinRoutes } from './pin-routes.ts';
import { verifyRoutes } from './verify-routes.ts';
import { warmRoutes } from './warm-routes.ts';

export const offlineGroups: readonly RouteGroup[] = [warmRoutes, pinRoutes, verifyRoutes, archiveRoutes];
