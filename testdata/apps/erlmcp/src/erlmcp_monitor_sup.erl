%% @doc What watches the world outside: the disk and the database.
-module(erlmcp_monitor_sup).
-behaviour(supervisor).

-export([start_link/0, init/1]).

start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, []).

init([]) ->
    {ok, {#{strategy => one_for_one, intensity => 5, period => 10}, [
        #{id => disk, start => {erlmcp_disk, start_link, []}},
        #{id => database, start => {erlmcp_database, start_link, []}}
    ]}}.
