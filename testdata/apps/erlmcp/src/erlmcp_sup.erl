%% @doc The top of the tree. What comes later rests on what comes before.
-module(erlmcp_sup).
-behaviour(supervisor).

-export([start_link/0, init/1]).

start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, []).

init([]) ->
    {ok, {#{strategy => rest_for_one, intensity => 5, period => 10}, [
        #{id => registry, start => {erlmcp_registry, start_link, []}},
        #{id => store, start => {erlmcp_store, start_link, []}},
        #{id => pool, start => {erlmcp_pool_sup, start_link, []}, type => supervisor},
        #{id => monitors, start => {erlmcp_monitor_sup, start_link, []}, type => supervisor},
        #{id => http, start => {erlmcp_http_sup, start_link, []}, type => supervisor}
    ]}}.
