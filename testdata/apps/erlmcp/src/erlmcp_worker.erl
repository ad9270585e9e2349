%% @doc A worker of the pool: it runs what it is given, one after the other.
-module(erlmcp_worker).
-behaviour(gen_server).

-export([start_link/0, run/3]).
-export([init/1, handle_call/3, handle_cast/2]).

start_link() ->
    gen_server:start_link(?MODULE, [], []).

run(Pid, Fun, Timeout) ->
    gen_server:call(Pid, {run, Fun}, Timeout).

init([]) ->
    {ok, none}.

handle_call({run, Fun}, _From, State) ->
    {reply, Fun(), State}.

handle_cast(_, State) ->
    {noreply, State}.
