/** Thread entry of the exact kNN search on devices: starts its end of a device once, then runs the tasks it is given. */
import { serve } from '../src/execution/worker-start.js';
import { createDeviceSearch, type DeviceTask } from '../src/knn/device-search.js';

export default await serve(createDeviceSearch, (search, task: DeviceTask) => search(task));
