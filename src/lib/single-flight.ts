// Several callers of one key share one running task; the key is free again when it ends.

export interface SingleFlight<T> {
  /** The result of the task running under this key, started now when there is none. What it throws, every caller of it gets. */
  run(key: string, task: () => Promise<T>): Promise<T>;
}

export function createSingleFlight<T>(): SingleFlight<T> {
  const flights = new Map<string, Promise<T>>();
  return {
    run: (key, task) => {
      const running = flights.get(key);
      if (running !== undefined) return running;
      // Inside the executor, also a task that throws before its first await gives a rejection.
      const flight = new Promise<T>((resolve) => resolve(task())).finally(() => flights.delete(key));
      flights.set(key, flight);
      return flight;
    },
  };
}
