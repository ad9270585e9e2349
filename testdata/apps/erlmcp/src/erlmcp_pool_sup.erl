%% @doc A pool and its workers. When one of the two supervisors' children is lost for good, both begin anew.
-module(erlmcp_pool_sup).
-behaviour(supervisor).

-export([start_link/0, start_workers/0, init/1]).

start_link() ->
    supervisor:start_link({via, erlmcp_registry, pool_sup}, ?MODULE, tree).

start_workers() ->
    supervisor:start_link({via, erlmcp_registry, pool_workers}, ?MODULE, workers).

init(tree) ->
    {ok, {#{strategy => one_for_all, intensity => 5, period => 10}, [
        #{id => workers, start => {?MODULE, start_workers, []}, type => supervisor},
        #{id => pool, start => {erlmcp_pool, start_link, []}}
    ]}};
init(workers) ->
    {ok, {#{strategy => simple_one_for_one}, [
        #{id => worker, start => {erlmcp_worker, start_link, []}, restart => temporary}
    ]}}.
